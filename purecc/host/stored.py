"""References that are latents already, as the host's Load Training Dataset gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from comfy.sd import VAE
from torch import Tensor

from .datasets import Reference, prepare
from .latents import SMALLEST

PIXELS = 8
"""Of a side, a latent."""


def prepare_stored(latents: Sequence[dict], vae: VAE, *args, **options) -> list[Reference]:
    """References that are trained on as they are; the VAE decodes them for the eye, and for masks.

    Args:
        latents: see `unpack`.
        vae: see `unpack`.
        args: captions, class word and kind, see `prepare`.
        options: masks, scene and trigger, see `prepare`.

    Raises:
        ValueError: see `unpack` and `prepare`.
    """
    stored = unpack(latents, vae)
    decoded = [vae.decode(one).float().cpu() for one in stored]
    references = prepare(decoded, *args, resolution=0, **options)
    return [replace(r, latents=one) for r, one in zip(references, stored, strict=True)]


def unpack(latents: Sequence[dict], vae: VAE) -> list[Tensor]:
    """Single latents of LATENTs, which hold them as the VAE gave them.

    Args:
        latents: {"samples": [B, C, h, w]} each, of one picture or several.
        vae: of the model that will be trained.

    Returns:
        [1, C, h, w] each, float32 on the CPU, the sides cut to even ones: two latents are a patch.

    Raises:
        ValueError: one has another shape than this VAE's, is too small, or is not finite; says which.
    """
    single = [one for batch in latents for one in batch["samples"].split(1)]
    out = []
    for number, one in enumerate(single, start=1):
        which = f"Latent {number} of {len(single)}"
        if one.ndim != 4 or one.shape[1] != vae.latent_channels:
            raise ValueError(
                f"{which} has shape {list(one.shape)}, and those of this VAE have {vae.latent_channels} channels, "
                "[1, channels, height, width]: encode the pictures with the VAE of the model that will be trained."
            )
        height, width = one.shape[2:]
        if min(height, width) * PIXELS < SMALLEST:
            raise ValueError(
                f"{which} is of {PIXELS * width} x {PIXELS * height} pixels, which is too small: at least {SMALLEST} a "
                "side are needed."
            )
        if not torch.isfinite(one).all():
            raise ValueError(f"{which} holds values that are not numbers.")
        even = one[..., : height // 2 * 2, : width // 2 * 2]
        out.append(even.detach().float().cpu().clone())
    return out
