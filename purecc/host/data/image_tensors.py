"""Crop images of the user and encode them with the user's VAE."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import comfy.utils
import numpy as np
import torch
from comfy.sd import VAE
from PIL import Image
from torch import Tensor

MULTIPLE = 16
"""Sides of training images are multiples of this: eight pixels per latent, two latents per patch. Models of pixels have
patches of at most 16."""

SMALLEST = 64

SLACK = 0.25
"""How far values may lie outside [0, 1], as sharp scaling leaves them; they are clamped."""


@dataclass(frozen=True)
class Cropping:
    """Settings of cropping and random variants.

    Attributes:
        resolution: side of the square that is cropped; 0 keeps the image's size, rounded down to a multiple.
        crop: "center", or "none" for the nearest bucket, see `nearest_bucket`.
        flip: whether mirror images are variants too.
        crops: how many random crops are variants too.
        multiple: sides are multiples of this, see `multiple`.
    """

    resolution: int = 512
    crop: str = "center"
    flip: bool = False
    crops: int = 0
    multiple: int = MULTIPLE


def prepare(image: Tensor, cropping: Cropping) -> Tensor:
    """Crop one reference [1, h, w, 3] as `rgb` gives it; returns [1, H, W, 3]."""
    height, width = image.shape[1:3]
    if cropping.resolution == 0:
        size = (width, height)
    elif cropping.crop == "center":
        size = (cropping.resolution, cropping.resolution)
    else:
        size = nearest_bucket(width, height, cropping.resolution, cropping.multiple)
    target_width, target_height = (max(SMALLEST, s // cropping.multiple * cropping.multiple) for s in size)
    return resize(image, target_height, target_width)


def multiple(vae: VAE | None) -> int:
    """Return what sides of images are multiples of, so that this VAE crops none and each latent is in a whole patch.

    The VAE tells only the pixels of a latent. Models of stills whose VAE has more than 8 have patches of one latent.
    Without a VAE it is `MULTIPLE`.
    """
    if vae is None:
        return MULTIPLE
    per_latent = pixels_per_latent(vae)
    return math.lcm(MULTIPLE, per_latent * (2 if vae.latent_dim == 3 else 1))


def pixels_per_latent(vae: VAE) -> int:
    """Return the pixels of a latent along a side; 1 for the VAE of a model of pixels."""
    return int(vae.spacial_compression_encode())


def nearest_bucket(width: int, height: int, resolution: int, multiple: int = MULTIPLE) -> tuple[int, int]:
    """Return the (width, height) of the bucket nearest in shape to an image.

    Buckets have about resolution² pixels and sides between half and twice the resolution, in steps of an eighth of it.
    Images of similar shape thus share a bucket and a batch.
    """
    square = max(SMALLEST, resolution // multiple * multiple)
    step = max(multiple, square // 8 // multiple * multiple)
    buckets = []
    for side in range(square, 2 * square + 1, step):
        other = max(SMALLEST, square - round((square - square * square / side) / step) * step)
        buckets += [(side, other), (other, side)]
    return min(buckets, key=lambda bucket: abs(math.log(bucket[0] * height / (bucket[1] * width))))


def rgb(image: Tensor) -> Tensor:
    """Convert an image of the user to [1, h, w, 3] float32 in [0, 1]: grey to colour, transparency to white.

    Args:
        image: [1, h, w, 1, 3 or 4]; the fourth channel is opacity.

    Raises:
        ValueError: it is not an image, has a side under 64 pixels, is not finite, or is clearly not in [0, 1].
    """
    if image.ndim != 4 or image.shape[-1] not in (1, 3, 4) or 0 in image.shape:
        raise ValueError(f"A reference of shape {tuple(image.shape)} is not an image. Connect an IMAGE [1, h, w, 3].")
    height, width = image.shape[1:3]
    if min(height, width) < SMALLEST:
        raise ValueError(
            f"A reference of {width} x {height} pixels is too small. Use images of at least {SMALLEST} pixels a side."
        )
    image = image.float()
    if not torch.isfinite(image).all():
        raise ValueError("A reference contains values that are not finite numbers. Replace it.")
    low, high = float(image.min()), float(image.max())
    if low < -SLACK or high > 1 + SLACK:
        raise ValueError(
            f"A reference has values from {low:.3g} to {high:.3g}, but images range from 0 to 1. Scale it first."
        )
    return opaque(image.clamp(0, 1))


def opaque(image: Tensor) -> Tensor:
    """Convert an image [..., 1, 3 or 4] to [..., 3]: grey to colour, transparency to white."""
    if image.shape[-1] == 4:
        part = image[..., 3:]
        return image[..., :3] * part + (1 - part)
    return image.expand(*image.shape[:-1], 3)


def resize(image: Tensor, height: int, width: int) -> Tensor:
    """Scale an image [1, h, w, 3] and crop it about its centre to [1, height, width, 3], in [0, 1]."""
    if image.shape[1:3] != (height, width):
        moved = comfy.utils.common_upscale(image.movedim(-1, 1), width, height, "lanczos", "center")
        image = moved.movedim(1, -1)
    return image.clamp(0, 1)


def windows(image: Tensor, count: int) -> list[tuple[slice, slice]]:
    """Choose random crops of an image in its own shape, 85 to 95 % a side; equal images give equal crops.

    Args:
        image: [1, h, w, C].
        count: number of crops.

    Returns:
        Rows and columns of each.
    """
    height, width = image.shape[1:3]
    generator = torch.Generator().manual_seed(int(image.double().sum() * 1000) % 2**31)
    out = []
    for scale, x, y in torch.rand(count, 3, generator=generator).tolist():
        part = 0.85 + 0.1 * scale
        h, w = max(SMALLEST, round(height * part)), max(SMALLEST, round(width * part))
        top, left = round(y * (height - h)), round(x * (width - w))
        out.append((slice(top, top + h), slice(left, left + w)))
    return out


def cropped_bytes(image: Tensor, cropping: Cropping) -> int:
    """Return the bytes that `variants` of an image [1, h, w, C] take, and as much for those of its mask."""
    side = cropping.resolution
    pixels = side * side if side else math.prod(image.shape[1:3])
    return 2 * 12 * pixels * (1 + cropping.crops) * (1 + cropping.flip)


def variants(
    image: Tensor, cropping: Cropping, cuts: Sequence[tuple[slice, slice]], before: Callable[[], None] = lambda: None
) -> list[Tensor]:
    """Return every variant of a reference: whole, random crops, and the mirror images of these.

    Args:
        image: [1, h, w, 3], see `rgb`.
        cropping: how; the random crops are those of `cuts`.
        cuts: rows and columns, as `windows` gives them.
        before: called before each random crop; may raise to cancel.

    Returns:
        [1, H, W, 3] each, the whole image first.
    """
    whole = prepare(image, cropping)
    height, width = whole.shape[1:3]
    out = [whole]
    for rows, columns in cuts:
        before()
        out.append(resize(image[:, rows, columns], height, width))
    return [*out, *(v.flip(2) for v in out)] if cropping.flip else out


def encode(vae: VAE, images: Sequence[Tensor], before: Callable[[], None] = lambda: None) -> list[Tensor]:
    """Encode images [1, H, W, 3] to latents [1, C, h, w], float32, on the CPU.

    Args:
        vae: of the host.
        images: one at a time.
        before: called before each; may raise to cancel.
    """
    out = []
    for image in images:
        before()
        out.append(still(vae.encode(image)).detach().float().cpu().clone())
    return out


def still(latents: Tensor) -> Tensor:
    """Return latents [B, C, h, w] of images; the VAE of a video model gives [B, C, 1, h, w]."""
    return latents.squeeze(2) if latents.ndim == 5 else latents


def decode(vae: VAE, latents: Tensor) -> Tensor:
    """Decode latents [B, C, h, w] to images [B, H, W, 3]."""
    images = vae.decode(latents.unsqueeze(2) if vae.latent_dim == 3 else latents)
    return images.flatten(0, 1) if images.ndim == 5 else images


def from_pil(image: Image.Image) -> Tensor:
    """Convert an image to the host's IMAGE, [1, H, W, 3] in [0, 1]."""
    return torch.from_numpy(np.asarray(image.convert("RGB"), dtype=np.float32) / 255.0)[None]
