"""Use latents as references, as the host's Load Training Dataset gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from comfy.sd import VAE
from torch import Tensor

from ...text.captions import CaptionInput
from ...text.concept import Concept
from .image_tensors import SMALLEST, Cropping, decode, multiple, pixels_per_latent, still
from .references import Reference, prepare


def prepare_stored(
    latents: Sequence[dict], vae: VAE, captions: CaptionInput, concept: Concept, masks: Sequence[Tensor] | None = None
) -> list[Reference]:
    """Prepare references that are trained on as they are; the VAE decodes them for display and for masks.

    Args:
        latents: see `unpack`.
        vae: see `unpack`.
        captions: of the images, see `prepare`.
        concept: what they show.
        masks: see `prepare`.

    Raises:
        ValueError: see `unpack` and `prepare`.
    """
    stored = unpack(latents, vae)
    decoded = [decode(vae, one).float().cpu() for one in stored]
    references = prepare(decoded, captions, concept, Cropping(resolution=0), masks)
    return [replace(r, latents=one) for r, one in zip(references, stored, strict=True)]


def unpack(latents: Sequence[dict], vae: VAE) -> list[Tensor]:
    """Split LATENTs, which hold latents as the VAE gave them.

    Args:
        latents: {"samples": [B, C, h, w]} each, of one or more images, or [B, C, 1, h, w] of a video model.
        vae: of the model to train.

    Returns:
        [1, C, h, w] each, float32 on the CPU, with sides cut to whole patches, see `image_tensors.multiple`.

    Raises:
        ValueError: one does not have this VAE's shape, is too small, or is not finite; names it.
    """
    single = [still(one) for batch in latents for one in batch["samples"].split(1)]
    out, pixels = [], pixels_per_latent(vae)
    patch = multiple(vae) // pixels
    for number, one in enumerate(single, start=1):
        which = f"Latent {number} of {len(single)}"
        if one.ndim != 4 or one.shape[1] != vae.latent_channels:
            raise ValueError(
                f"{which} has shape {list(one.shape)}, but this VAE's have {vae.latent_channels} channels, "
                "[1, channels, height, width]. Encode the images with the VAE of the model to train."
            )
        height, width = one.shape[2:]
        if min(height, width) * pixels < SMALLEST:
            raise ValueError(
                f"{which} is too small with {pixels * width} x {pixels * height} pixels. Use images of at least "
                f"{SMALLEST} pixels a side."
            )
        if not torch.isfinite(one).all():
            raise ValueError(f"{which} contains values that are not finite numbers. Encode the image again.")
        whole = one[..., : height // patch * patch, : width // patch * patch]
        out.append(whole.detach().float().cpu().clone())
    return out
