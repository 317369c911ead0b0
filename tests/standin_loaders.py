"""Stand-ins for the models that the workflows name.

In a server with `install`, the host's own loaders give tiny genuine models, encoders and VAEs under those file names;
everything after the loaders is the host's own.
"""

from dataclasses import dataclass, field
from pathlib import Path

import genuine
import server_packs
import standin
import tiny_clips
import torch

T5 = {"t5xxl": {"d_model": 64}}


@dataclass(frozen=True)
class StandIn:
    """The stand-in of one family.

    Attributes:
        model: its name among the genuine models.
        clip: its name among the tiny encoders.
        sizes: of the encoders, that fit the model.
        unet: further values of the model's configuration.
    """

    model: str
    clip: str
    sizes: dict = field(default_factory=dict)
    unet: dict = field(default_factory=dict)

    def load_model(self):
        recipe = genuine.FAMILIES[self.model]
        return genuine.patcher_of(genuine.direct(recipe.cls, {**recipe.unet, **self.unet}, sampling=recipe.sampling))

    def load_clip(self):
        import folder_paths

        return tiny_clips.build(self.clip, *folder_paths.get_folder_paths("embeddings")[:1], **self.sizes)


MODELS = {
    "sd_xl_base_1.0.safetensors": StandIn(
        "SDXL", "SDXL", {"clip_l": {"hidden_size": 768}, "clip_g": {"hidden_size": 1280}}
    ),
    "flux1-dev.safetensors": StandIn("Flux.1-dev", "Flux.1", {**T5, "clip_l": {"hidden_size": 32}}),
    "flux-2-klein-base-4b.safetensors": StandIn("Flux.2-klein", "klein", unet={"context_in_dim": 96}),
    "qwen_image_fp8_e4m3fn.safetensors": StandIn("Qwen-Image", "Qwen-Image", {"qwen25_7b": {"hidden_size": 64}}),
    "z_image_bf16.safetensors": StandIn("Z-Image", "Z-Image", {"qwen3_4b": {"hidden_size": 64}}),
    "Chroma1-HD.safetensors": StandIn("Chroma", "Chroma", T5),
}
CLIPS = {
    "flux": "flux1-dev.safetensors",
    "flux2": "flux-2-klein-base-4b.safetensors",
    "qwen_image": "qwen_image_fp8_e4m3fn.safetensors",
    "lumina2": "z_image_bf16.safetensors",
    "chroma": "Chroma1-HD.safetensors",
}
ENCODERS = ["clip_l", "t5xxl_fp16", "qwen_3_4b", "qwen_2.5_vl_7b_fp8_scaled"]
ENCODERS = [f"{name}.safetensors" for name in ENCODERS]
VAES = {"ae.safetensors": 16, "flux2-vae.safetensors": 128, "qwen_image_vae.safetensors": 0}


def vae(channels: int):
    """A small VAE of that many channels; 0: of videos."""
    import comfy.sd
    from comfy.taesd.taehv import TAEHV
    from comfy.taesd.taesd import TAESD

    network = TAESD(latent_channels=channels) if channels else TAEHV(latent_channels=16, latent_format=None)
    weights = standin._fill(network, torch.Generator().manual_seed(0))
    if channels:
        weights |= {"vae_scale": torch.tensor(1.0), "vae_shift": torch.tensor(0.0)}
    return comfy.sd.VAE(sd=weights, metadata={"tae_latent_channels": channels} if channels else None)


def patch() -> None:
    """Makes the host's loaders give the stand-ins under their file names."""
    import nodes

    def load_checkpoint(name, **_):
        return MODELS[name].load_model(), MODELS[name].load_clip(), vae(4)

    def load_clip(name, type, **_):
        return (MODELS[CLIPS[type]].load_clip(),)

    instead(nodes.CheckpointLoaderSimple.load_checkpoint, MODELS, load_checkpoint)
    instead(nodes.UNETLoader.load_unet, MODELS, lambda name, **_: (MODELS[name].load_model(),))
    instead(nodes.CLIPLoader.load_clip, ENCODERS, load_clip)
    instead(nodes.DualCLIPLoader.load_clip, ENCODERS, load_clip)
    instead(nodes.VAELoader.load_vae, VAES, lambda name, **_: (vae(VAES[name]),))


def instead(stock, names, load) -> None:
    """Makes a loader call `load` for these files; a prompt gives it its inputs by name, the file first."""
    import nodes

    def chosen(self, **inputs):
        name, *_ = inputs.values()
        others = dict(list(inputs.items())[1:])
        return load(name, **others) if name in names else stock(self, **inputs)

    loader, _, method = stock.__qualname__.partition(".")
    setattr(getattr(nodes, loader), method, chosen)


def install(base: Path) -> None:
    """Has a server with this base directory load the stand-ins: empty files of their names, and a pack that patches."""
    for folder, names in {
        "checkpoints": ["sd_xl_base_1.0.safetensors"],
        "diffusion_models": [name for name in MODELS if name != "sd_xl_base_1.0.safetensors"],
        "text_encoders": ENCODERS,
        "vae": list(VAES),
    }.items():
        (base / "models" / folder).mkdir(parents=True, exist_ok=True)
        for name in names:
            (base / "models" / folder / name).touch()
    server_packs.add(base, "standin_loaders", "patch")
