"""A checkpoint with random weights, loaded by the host's own loader."""

from __future__ import annotations

from pathlib import Path

import comfy.sd
import torch
from safetensors.torch import save_file
from torch import Tensor

from speed.kind import Kind, Models
from speed.setup import Setup


def write(folder: Path, kind: Kind, device: torch.device) -> Path:
    """Write the checkpoint unless it is there, its weights drawn on the device; return its path."""
    path = folder / f"{kind.name.replace(', ', '-').replace(' ', '-')}.safetensors"
    if not path.is_file():
        generator = torch.Generator(device).manual_seed(0)
        weights = {k: _draw(k, w, generator).to(kind.dtype).cpu() for k, w in kind.weights().items()}
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        save_file(weights, unfinished)
        unfinished.replace(path)
    return path


def models(setup: Setup) -> Models:
    """Return the models of a set-up, from its checkpoint."""
    return setup.kind.load(write(setup.folder, setup.kind, setup.device))


def load_fp8(path: Path):
    """Load MODEL alone, with 8-bit weights."""
    options = {"output_vae": False, "output_clip": False, "model_options": {"dtype": torch.float8_e4m3fn}}
    with torch.inference_mode():
        return comfy.sd.load_checkpoint_guess_config(str(path), **options)[0]


def _draw(name: str, like: Tensor, generator: torch.Generator) -> Tensor:
    """Draw weights that let signals pass: matrices by their width, norms near one."""
    noise = torch.randn(like.shape, generator=generator, device=generator.device)
    if like.ndim < 2:
        return 0.05 * noise + (1.0 if name.endswith("weight") else 0.0)
    return noise * (0.5 if "embed" in name and "embedder" not in name else like[0].numel() ** -0.5)
