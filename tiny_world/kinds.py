"""Two more kinds of base model for the drawn world: a U-Net that predicts ε, and a Flux-kind transformer.

Text encoder and autoencoder are those of PureCC Tiny; only the denoiser is new. Both denoisers are the host's own
classes at a small size. `register` makes the host's stock loader detect them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import comfy.latent_formats
import comfy.sd
import comfy.sd1_clip
import comfy.supported_models as host
import comfy.supported_models_base as host_base
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..purecc.host.models.precision import multiplies_bfloat16
from ..purecc.host.models.tiny import CHECKPOINT, CLIP_L, TEXT_OPTIONS, WINDOW, load_tiny_checkpoint
from .host_model import initialise

_TEXT = CLIP_L["hidden_size"]
_SIZES = 6 * 256
"""Columns in which SDXL is told the sizes of an image."""
_NETWORK, _ENCODER = "model.diffusion_model.", "text_encoders."


class TinyTokenizer(comfy.sd1_clip.SD1Tokenizer):
    """CLIP-L's tokenizer with the short window of PureCC Tiny."""

    def __init__(self, embedding_directory: Any = None, tokenizer_data: Mapping[str, Any] | None = None) -> None:
        super().__init__(embedding_directory=embedding_directory, tokenizer_data=dict(tokenizer_data or {}))
        self.clip_l.max_length = WINDOW


class _Layers(comfy.sd1_clip.SDClipModel):
    """CLIP-L read as SDXL reads it: the penultimate layer, no norm."""

    def __init__(self, device: Any = "cpu", dtype: Any = None, model_options: Mapping[str, Any] | None = None) -> None:
        super().__init__(
            device=device, dtype=dtype, layer="hidden", layer_idx=-2, layer_norm_hidden_state=False,
            return_projected_pooled=False, model_options=dict(model_options or {}),
        )  # fmt: skip


class TinyClip(comfy.sd1_clip.SD1ClipModel):
    """The text encoder of PureCC Tiny without zero columns: conditioning [1, 32, 64], pooled [1, 64]."""

    def __init__(self, device: Any = "cpu", dtype: Any = None, model_options: Mapping[str, Any] | None = None) -> None:
        options = {**TEXT_OPTIONS, **(model_options or {})}
        super().__init__(device=device, dtype=dtype, model_options=options, clip_model=_Layers)


class _Tiny:
    """What both classes share: the latents, the file and the text encoder of PureCC Tiny."""

    latent_format = comfy.latent_formats.SD3
    vae_key_prefix: ClassVar = ["first_stage_model."]
    text_encoder_key_prefix: ClassVar = [_ENCODER]

    def clip_target(self, state_dict: Any = None) -> Any:
        """Return tokenizer and text encoder."""
        return host_base.ClipTarget(TinyTokenizer, TinyClip)

    def process_clip_state_dict(self, state_dict: Any) -> Any:
        """Return the text encoder's weights under its own names."""
        return host_base.BASE.process_clip_state_dict(self, state_dict)


class TinyUNet(_Tiny, host.SDXL):
    """SDXL's class: attention at the coarser of two resolutions, ε prediction, the sizes beside the pooled text."""

    unet_config: ClassVar = {
        "model_channels": 64,
        "context_dim": _TEXT,
        "adm_in_channels": _TEXT + _SIZES,
        "in_channels": 16,
    }
    unet_extra_config: ClassVar = {"num_heads": -1, "num_head_channels": 32}

    def inpaint_model(self) -> bool:
        """Return False: the sixteen channels are those of the latents."""
        return False


class TinyFlux(_Tiny, host.Flux):
    """Flux.1's class without guidance embedding: double-stream blocks, then single-stream ones."""

    unet_config: ClassVar = {
        "image_model": "flux",
        "guidance_embed": False,
        "context_in_dim": _TEXT,
        "vec_in_dim": _TEXT,
    }


@dataclass(frozen=True)
class Kind:
    """A kind of base model.

    Attributes:
        name: names its folder and its file.
        title: for people.
        config: the host's class of its configuration.
        network: the configuration of the network, as the host detects it.
        matrices: pattern of the names of weights that Muon trains.
        rate: peak learning rate.
    """

    name: str
    title: str
    config: type
    network: Mapping[str, Any]
    matrices: str
    rate: float


UNET = Kind(
    "unet",
    "U-Net, ε prediction (SDXL's class)",
    TinyUNet,
    {
        "use_checkpoint": False, "image_size": 32, "use_spatial_transformer": True, "legacy": False,
        "num_classes": "sequential", "adm_in_channels": _TEXT + _SIZES, "in_channels": 16, "out_channels": 16,
        "model_channels": 64, "num_res_blocks": [1, 1], "channel_mult": [1, 2], "transformer_depth": [0, 1],
        "transformer_depth_output": [0, 0, 1, 1], "transformer_depth_middle": 1, "use_linear_in_transformer": True,
        "context_dim": _TEXT, "use_temporal_resblock": False, "use_temporal_attention": False,
    },
    r"(input_blocks\.[1-9]|middle_block|output_blocks)\.(?!.*emb_layers).*",
    2.5e-3,
)  # fmt: skip
FLUX = Kind(
    "flux",
    "single/double-stream transformer, flow (Flux.1's class)",
    TinyFlux,
    {
        "image_model": "flux", "axes_dim": [16, 56, 56], "num_heads": 2, "mlp_ratio": 4.0, "theta": 10000,
        "in_channels": 16, "out_channels": 16, "patch_size": 2, "hidden_size": 256, "context_in_dim": _TEXT,
        "vec_in_dim": _TEXT, "depth": 1, "depth_single_blocks": 2, "qkv_bias": True, "txt_ids_dims": [],
        "guidance_embed": False,
    },
    r"(double|single)_blocks\.(?!.*mod).*",
    2.5e-3,
)  # fmt: skip
KINDS = {kind.name: kind for kind in (UNET, FLUX)}


def register() -> None:
    """Have the host's stock loader detect files of these kinds; a second call changes nothing."""
    for kind in KINDS.values():
        if kind.config not in host.models:
            host.models.insert(0, kind.config)


def build(kind: Kind, seed: int = 0) -> Any:
    """Return the host's model of a kind with fresh weights, float32."""
    config = kind.config(dict(kind.network))
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model({}, "")
    network = initialise(model.diffusion_model, seed)
    _start(network)
    return model


@torch.no_grad()
def _start(network: nn.Module) -> None:
    """Start with residual branches of zero, or with half-open gates and no modulation; the prediction is zero."""
    zero = ("out_layers.3", "proj_out", "out.2", "final_layer.linear", "final_layer.adaLN_modulation.1")
    for name, layer in network.named_modules():
        if name.endswith(zero):
            layer.weight.zero_()
        if name.endswith(("mod.lin", "modulation.lin")):
            layer.weight.zero_()
            width = layer.weight.shape[1]
            for gate in range(2, len(layer.bias) // width, 3):
                layer.bias[gate * width : (gate + 1) * width] = 0.5


def encode(clip: Any, captions: list[str], known: dict[str, list[int]]) -> tuple[Tensor, Tensor]:
    """Return what the network gets of captions: [B, 32, 64], and pooled [B, 64]; `known` keeps their tokens."""
    for caption in captions:
        if caption not in known:
            (window,) = clip.tokenizer.clip_l.tokenize_with_weights(caption)
            known[caption] = [token for token, _ in window]
    with torch.no_grad():
        return clip.cond_stage_model.clip_l([known[caption] for caption in captions])


def text_encoder() -> Any:
    """Return a CLIP with the text encoder of PureCC Tiny as both kinds use it."""
    weights = {k.removeprefix(_ENCODER): v for k, v in load_file(CHECKPOINT).items() if k.startswith(_ENCODER)}
    target = host_base.ClipTarget(TinyTokenizer, TinyClip)
    return comfy.sd.CLIP(target, embedding_directory=[], state_dict=weights)


def quick() -> torch.autocast:
    """Return a context that computes in bfloat16 if this processor multiplies matrices in it, else in float32."""
    return torch.autocast("cpu", torch.bfloat16, enabled=multiplies_bfloat16())


class _Encoder:
    """PureCC Tiny's autoencoder; where it computes in bfloat16, latents change by 1 %."""

    def __init__(self) -> None:
        vae = load_tiny_checkpoint([])[2]
        self._model = vae.first_stage_model.float().to(memory_format=torch.channels_last)

    def encode(self, images: Tensor) -> Tensor:
        """Return VAE latents [N, 16, H / 8, W / 8] of images [N, 3, H, W] in -1..1."""
        with torch.no_grad(), quick():
            return self._model.encode(images.to(memory_format=torch.channels_last)).float()


def autoencoder() -> Any:
    """Return what encodes images for training, [N, 3, H, W] in -1..1, with PureCC Tiny's autoencoder."""
    return _Encoder()


def export(path: Path, network: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a checkpoint for the stock loader, in float16: this network, with PureCC Tiny's encoders."""
    shared = {k: v for k, v in load_file(CHECKPOINT).items() if not k.startswith(_NETWORK)}
    own = {f"{_NETWORK}{k}": v.detach().half().contiguous() for k, v in network.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    save_file({**shared, **own}, part, metadata=metadata)
    part.replace(path)


def load(path: Path, embedding_directory: Any = None) -> tuple[Any, Any, Any]:
    """Load a checkpoint of a kind with the stock loader: (MODEL, CLIP, VAE).

    Raises:
        FileNotFoundError: it was not made yet.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist. Make it: scripts/train_tiny.py kind {path.stem}")
    register()
    return comfy.sd.load_checkpoint_guess_config(
        str(path), output_vae=True, output_clip=True, embedding_directory=embedding_directory
    )[:3]
