"""A checkpoint of a size with random weights, every network built by the host's own classes, loaded by its loader."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import comfy.ops
import comfy.sd
import torch
from comfy.ldm.models.autoencoder import AutoencodingEngine
from comfy.ldm.modules.diffusionmodules.mmdit import OpenAISignatureMMDITWrapper
from comfy.sd1_clip import SDClipModel
from comfy.sdxl_clip import SDXLClipG
from comfy.taesd.taesd import TAESD
from comfy.text_encoders.sd3_clip import T5XXLModel
from safetensors.torch import save_file
from torch import Tensor, nn

from speed.sizes import Size


@dataclass(frozen=True)
class Models:
    """MODEL, CLIP and VAE, as the stock checkpoint loader gives them."""

    model: object
    clip: object
    vae: object


def network(size: Size, device: str = "meta", dtype: torch.dtype | None = None) -> nn.Module:
    """The MMDiT-X of a size, its weights unset."""
    return OpenAISignatureMMDITWrapper(
        input_size=None,
        in_channels=16,
        depth=size.depth,
        adm_in_channels=size.pooled,
        qk_norm="rms",
        num_patches=size.position_side**2,
        pos_embed_max_size=size.position_side,
        x_block_self_attn_layers=list(range(size.second_attention)),
        context_embedder_config={
            "target": "torch.nn.Linear",
            "params": {"in_features": 4096, "out_features": size.hidden},
        },
        dtype=dtype or size.dtype,
        device=device,
        operations=comfy.ops.disable_weight_init,
    ).requires_grad_(False)


def write(path: Path, size: Size, device: torch.device, seed: int = 0) -> Path:
    """Writes the checkpoint unless it is there; the weights are drawn on a device."""
    if not path.is_file():
        generator = torch.Generator(device).manual_seed(seed)
        weights = {k: _draw(k, w, generator).to(size.dtype).cpu() for k, w in _shapes(size)}
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        save_file(weights, unfinished)
        unfinished.replace(path)
    return path


def load(path: Path, size: Size) -> Models:
    """The checkpoint through the host's own loader, the transformer's weights in the size's dtype.

    Left to itself the host takes float16 on a GPU, and its trainer would then cast every weight at every pass.
    """
    options = {"model_options": {"dtype": size.dtype}, "te_model_options": {"clip_l_model_config": _clip_l(size)}}
    with torch.inference_mode():
        return Models(*comfy.sd.load_checkpoint_guess_config(str(path), **options)[:3])


def load_fp8(path: Path):
    """Its MODEL alone, with weights of 8 bits, as the stock loader makes them of 16."""
    with torch.inference_mode():
        return comfy.sd.load_checkpoint_guess_config(
            str(path), output_vae=False, output_clip=False, model_options={"dtype": torch.float8_e4m3fn}
        )[0]


def _shapes(size: Size) -> Iterator[tuple[str, Tensor]]:
    build = {
        "clip_l": lambda: SDClipModel(device="meta", model_options={"clip_l_model_config": _clip_l(size)}),
        "clip_g": lambda: SDXLClipG(device="meta"),
        "t5xxl": lambda: T5XXLModel(device="meta"),
    }
    parts = {"model.diffusion_model.": network(size), "first_stage_model.": _autoencoder(size)}
    parts |= {f"text_encoders.{name}.transformer.": build[name]().transformer for name in size.host_encoders}
    for prefix, module in parts.items():
        for name, weight in module.state_dict().items():
            yield prefix + name, weight


def _draw(name: str, like: Tensor, generator: torch.Generator) -> Tensor:
    """Weights at which signals pass: matrices by their width, norms near one."""
    noise = torch.randn(like.shape, generator=generator, device=generator.device)
    if like.ndim < 2:
        return 0.05 * noise + (1.0 if name.endswith("weight") else 0.0)
    return noise * (0.5 if "embed" in name and "embedder" not in name else like[0].numel() ** -0.5)


def _clip_l(size: Size) -> dict[str, int]:
    shape = size.encoders["clip_l"]
    return {
        "hidden_size": shape.width,
        "intermediate_size": shape.inner,
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
    }


def _autoencoder(size: Size) -> nn.Module:
    part = "comfy.ldm.modules.diffusionmodules.model."
    shape = {"double_z": True, "z_channels": 16, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 128}
    shape |= {"ch_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_resolutions": [], "dropout": 0.0}
    with torch.device("meta"):
        if size.tiny_vae:
            return TAESD(latent_channels=16)
        return AutoencodingEngine(
            regularizer_config={"target": "comfy.ldm.models.autoencoder.DiagonalGaussianRegularizer"},
            encoder_config={"target": f"{part}Encoder", "params": shape},
            decoder_config={"target": f"{part}Decoder", "params": shape},
        )
