"""A checkpoint of a size with random weights: built by the host's own classes, loaded by its stock loader."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

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

from speed.kinds import Kind, Models
from speed.sizes import Setup, Size


def network(size: Size, device: str = "meta") -> Any:
    """Return the MMDiT-X of a size, its weights unset."""
    embedder = {"target": "torch.nn.Linear", "params": {"in_features": 4096, "out_features": size.hidden}}
    shape = {"depth": size.depth, "in_channels": 16, "adm_in_channels": size.pooled, "qk_norm": "rms"}
    shape |= {"num_patches": size.position_side**2, "pos_embed_max_size": size.position_side, "input_size": None}
    shape |= {"x_block_self_attn_layers": list(range(size.second_attention)), "context_embedder_config": embedder}
    options = {"dtype": size.dtype, "device": device, "operations": comfy.ops.disable_weight_init}
    return OpenAISignatureMMDITWrapper(**shape, **options).requires_grad_(False)


def write(folder: Path, size: Size | Kind, device: torch.device) -> Path:
    """Write the checkpoint unless it is there, its weights drawn on the device; return its path."""
    path = folder / f"{size.name.replace(', ', '-').replace(' ', '-')}.safetensors"
    if not path.is_file():
        generator = torch.Generator(device).manual_seed(0)
        weights = {k: _draw(k, w, generator).to(size.dtype).cpu() for k, w in shapes(size)}
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        save_file(weights, unfinished)
        unfinished.replace(path)
    return path


def load(path: Path, size: Size) -> Models:
    """Load the checkpoint by the host's own loader, the transformer's weights in the size's dtype.

    By itself the host takes float16 on a GPU, and its trainer would then cast every weight in every pass.
    """
    options = {"model_options": {"dtype": size.dtype}, "te_model_options": encoder_options(size)}
    with torch.inference_mode():
        return Models(*comfy.sd.load_checkpoint_guess_config(str(path), **options)[:3])


def models(setup: Setup) -> Models:
    """Return the models of a set-up, from its checkpoint."""
    path = write(setup.folder, setup.size, setup.device)
    return setup.size.load(path) if isinstance(setup.size, Kind) else load(path, setup.size)


def load_fp8(path: Path):
    """Load MODEL alone, with 8-bit weights."""
    options = {"output_vae": False, "output_clip": False, "model_options": {"dtype": torch.float8_e4m3fn}}
    with torch.inference_mode():
        return comfy.sd.load_checkpoint_guess_config(str(path), **options)[0]


def shapes(size: Size | Kind) -> Iterator[tuple[str, Tensor]]:
    """Yield the name and a meta tensor of every weight of the checkpoint; another kind has its network alone."""
    if isinstance(size, Kind):
        yield from size.network().state_dict().items()
        return
    build = {"clip_l": SDClipModel, "clip_g": SDXLClipG, "t5xxl": T5XXLModel}
    options = encoder_options(size)
    parts = {"model.diffusion_model.": network(size), "first_stage_model.": _autoencoder(size)}
    for name in size.host_encoders:
        encoder = build[name](device="meta", model_options=options)
        parts[f"text_encoders.{name}.transformer."] = encoder.transformer
    for prefix, module in parts.items():
        for name, weight in module.state_dict().items():
            yield prefix + name, weight


def _draw(name: str, like: Tensor, generator: torch.Generator) -> Tensor:
    """Draw weights that let signals pass: matrices by their width, norms near one."""
    noise = torch.randn(like.shape, generator=generator, device=generator.device)
    if like.ndim < 2:
        return 0.05 * noise + (1.0 if name.endswith("weight") else 0.0)
    return noise * (0.5 if "embed" in name and "embedder" not in name else like[0].numel() ** -0.5)


def encoder_options(size: Size) -> dict[str, dict[str, int]]:
    """Return the host's options that give its encoders the shapes of the size."""
    names = {name: f"{name}_model_config" for name in size.host_encoders}
    keys = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    options = {names[n]: dict(zip(keys, getattr(size.encoders, n)[:4], strict=True)) for n in names if n != "t5xxl"}
    if "t5xxl" in names:
        options[names["t5xxl"]] = {"num_layers": size.encoders.t5xxl.layers}
    return options


def _autoencoder(size: Size) -> nn.Module:
    part = "comfy.ldm.modules.diffusionmodules.model."
    shape: dict[str, Any] = {
        "double_z": True,
        "z_channels": 16,
        "resolution": 256,
        "in_channels": 3,
        "out_ch": 3,
        "ch": 128,
    }
    shape |= {"ch_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_resolutions": [], "dropout": 0.0}
    with torch.device("meta"):
        if size.vae_width < 128:
            return TAESD(latent_channels=16)
        return AutoencodingEngine(
            regularizer_config={"target": "comfy.ldm.models.autoencoder.DiagonalGaussianRegularizer"},
            encoder_config={"target": f"{part}Encoder", "params": shape},
            decoder_config={"target": f"{part}Decoder", "params": shape},
        )
