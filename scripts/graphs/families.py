"""The files and the sampling of each family that has a template, as ComfyUI's own templates have them."""

from dataclasses import dataclass, field

from .describe import Node

T5, AE = "t5xxl_fp16.safetensors", "ae.safetensors"


@dataclass(frozen=True)
class Family:
    """A family of models as its templates load and sample it.

    Attributes:
        key: in the names of files.
        name: for people.
        loaders: the nodes that load it, by name.
        files: what to put where, for the note.
        model: "NODE.OUTPUT" of the MODEL.
        clip: of the CLIP.
        vae: of the VAE.
        latent: the class of node for an empty latent.
        sampling: values of KSampler.
        side: of its pictures, in pixels.
        remark: a further sentence for the note.
    """

    key: str
    name: str
    loaders: dict[str, Node]
    files: dict[str, str]
    model: str = "loader.MODEL"
    clip: str = "loader.CLIP"
    vae: str = "loader.VAE"
    latent: str = "EmptySD3LatentImage"
    sampling: dict = field(default_factory=dict)
    side: int = 1024
    remark: str = ""

    @property
    def base(self) -> dict[str, str]:
        """What feeds the inputs model, clip and vae."""
        return {"model": self.model, "clip": self.clip, "vae": self.vae}


def checkpoint(key: str, name: str, file: str, **values) -> Family:
    """Return a family whose model, text encoders and VAE are in one file."""
    loaders = {"loader": Node("CheckpointLoaderSimple", {"ckpt_name": file})}
    return Family(key, name, loaders, {"checkpoints": f"`{file}`"}, **values)


def parts(key: str, name: str, model: str, clip: Node, vae: str, **values) -> Family:
    """Return a family whose model, text encoders and VAE are files of their own."""
    loaders = {
        "unet": Node("UNETLoader", {"unet_name": model, "weight_dtype": "default"}),
        "encoders": clip,
        "vae": Node("VAELoader", {"vae_name": vae}),
    }
    encoders = " and ".join(f"`{value}`" for name, value in clip.values.items() if name.startswith("clip_name"))
    files = {"diffusion_models": f"`{model}`", "text_encoders": encoders, "vae": f"`{vae}`"}
    return Family(key, name, loaders, files, model="unet.MODEL", clip="encoders.CLIP", vae="vae.VAE", **values)


def clip(file: str, kind: str) -> Node:
    """Return the loader of one text encoder."""
    return Node("CLIPLoader", {"clip_name": file, "type": kind, "device": "default"})


SD35 = checkpoint(
    "sd35",
    "Stable Diffusion 3.5 Medium",
    "sd3.5_medium_incl_clips_t5xxlfp8scaled.safetensors",
    sampling={"steps": 28, "cfg": 4.5, "sampler_name": "euler", "scheduler": "sgm_uniform"},
    remark="Accept its licence on the download page first.",
)
SDXL = checkpoint(
    "sdxl",
    "Stable Diffusion XL",
    "sd_xl_base_1.0.safetensors",
    latent="EmptyLatentImage",
    sampling={"steps": 30, "cfg": 6.0, "sampler_name": "dpmpp_2m", "scheduler": "karras"},
    remark="Any model made from it works the same way.",
)
FLUX1_DEV = parts(
    "flux1_dev",
    "FLUX.1 [dev]",
    "flux1-dev.safetensors",
    Node(
        "DualCLIPLoader",
        {"clip_name1": "clip_l.safetensors", "clip_name2": T5, "type": "flux", "device": "default"},
    ),
    AE,
    sampling={"steps": 20, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple"},
)
FLUX2_KLEIN = parts(
    "flux2_klein",
    "FLUX.2 [klein] base",
    "flux-2-klein-base-4b.safetensors",
    clip("qwen_3_4b.safetensors", "flux2"),
    "flux2-vae.safetensors",
    latent="EmptyFlux2LatentImage",
    sampling={"steps": 20, "cfg": 5.0, "sampler_name": "euler", "scheduler": "simple"},
)
QWEN_IMAGE = parts(
    "qwen_image",
    "Qwen-Image",
    "qwen_image_fp8_e4m3fn.safetensors",
    clip("qwen_2.5_vl_7b_fp8_scaled.safetensors", "qwen_image"),
    "qwen_image_vae.safetensors",
    side=1328,
    sampling={"steps": 20, "cfg": 2.5, "sampler_name": "euler", "scheduler": "simple"},
)
Z_IMAGE = parts(
    "z_image",
    "Z-Image",
    "z_image_bf16.safetensors",
    clip("qwen_3_4b.safetensors", "lumina2"),
    AE,
    sampling={"steps": 25, "cfg": 4.0, "sampler_name": "res_multistep", "scheduler": "simple"},
)
CHROMA = parts(
    "chroma",
    "Chroma",
    "Chroma1-HD.safetensors",
    clip(T5, "chroma"),
    AE,
    sampling={"steps": 26, "cfg": 4.0, "sampler_name": "euler", "scheduler": "beta"},
)
FAMILIES = (SD35, SDXL, FLUX1_DEV, FLUX2_KLEIN, QWEN_IMAGE, Z_IMAGE, CHROMA)
