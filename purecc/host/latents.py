"""Images of the user to latents, through the user's VAE."""

from __future__ import annotations

import math
from collections.abc import Sequence

import comfy.utils
import numpy as np
import torch
from comfy.sd import VAE
from PIL import Image
from torch import Tensor

MULTIPLE = 16
"""Sides of training images are multiples of this: eight pixels a latent, two latents a patch."""

SMALLEST = 64

SLACK = 0.25
"""How far values may lie outside [0, 1], as a sharp scaling leaves them; they are cut off."""


def prepare(image: Tensor, resolution: int, crop: str = "center") -> Tensor:
    """One reference as it is trained on.

    Args:
        image: [1, h, w, 3], see `rgb`.
        resolution: side of the square that is cropped from it; 0 keeps its size, cut to a multiple of 16.
        crop: "center", or "none" for the nearest shape of a few, see `nearest_bucket`.

    Returns:
        [1, h, w, 3].
    """
    height, width = image.shape[1:3]
    if resolution == 0:
        size = (width, height)
    elif crop == "center":
        size = (resolution, resolution)
    else:
        size = nearest_bucket(width, height, resolution)
    target_width, target_height = (max(SMALLEST, s // MULTIPLE * MULTIPLE) for s in size)
    return resize(image, target_height, target_width)


def nearest_bucket(width: int, height: int, resolution: int) -> tuple[int, int]:
    """The width and height of about resolution² pixels, between 2 and 1/2 of the resolution, nearest in shape.

    Sides go in steps of an eighth of the resolution, so that pictures of nearly one shape share a bucket and a batch.
    """
    square = max(SMALLEST, resolution // MULTIPLE * MULTIPLE)
    step = max(MULTIPLE, square // 8 // MULTIPLE * MULTIPLE)
    buckets = []
    for side in range(square, 2 * square + 1, step):
        other = max(SMALLEST, square - round((square - square * square / side) / step) * step)
        buckets += [(side, other), (other, side)]
    return min(buckets, key=lambda bucket: abs(math.log(bucket[0] * height / (bucket[1] * width))))


def rgb(image: Tensor) -> Tensor:
    """A picture of the user as [1, h, w, 3] float32 in [0, 1]: grey is made colour, transparency is laid on white.

    Args:
        image: [1, h, w, 1, 3 or 4]; the fourth channel is how opaque it is.

    Raises:
        ValueError: it is no picture, smaller than 64 pixels a side, not finite, or plainly not in [0, 1].
    """
    if image.ndim != 4 or image.shape[-1] not in (1, 3, 4) or 0 in image.shape:
        raise ValueError(f"A reference has shape {tuple(image.shape)}, which is not an image.")
    height, width = image.shape[1:3]
    if min(height, width) < SMALLEST:
        raise ValueError(
            f"A reference of {width} x {height} pixels is too small: at least {SMALLEST} a side are needed."
        )
    image = image.float()
    if not torch.isfinite(image).all():
        raise ValueError("A reference holds values that are not numbers.")
    low, high = float(image.min()), float(image.max())
    if low < -SLACK or high > 1 + SLACK:
        raise ValueError(
            f"A reference holds values from {low:.3g} to {high:.3g}, and pictures go from 0 to 1: scale it before."
        )
    return opaque(image.clamp(0, 1))


def opaque(image: Tensor) -> Tensor:
    """A picture [..., 1, 3 or 4] as [..., 3]: grey is made colour, transparency is laid on white."""
    if image.shape[-1] == 4:
        part = image[..., 3:]
        return image[..., :3] * part + (1 - part)
    return image.expand(*image.shape[:-1], 3)


def resize(image: Tensor, height: int, width: int) -> Tensor:
    """A picture [1, h, w, 3] scaled and cut about its middle to [1, height, width, 3], in [0, 1]."""
    if image.shape[1:3] != (height, width):
        moved = comfy.utils.common_upscale(image.movedim(-1, 1), width, height, "lanczos", "center")
        image = moved.movedim(1, -1)
    return image.clamp(0, 1)


def windows(image: Tensor, count: int) -> list[tuple[slice, slice]]:
    """Random cuts of a picture in its own shape, each side 85 to 95 % of it; the same cuts for the same picture.

    Args:
        image: [1, h, w, C].
        count: how many.

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


def variants(
    image: Tensor, resolution: int, crop: str, cuts: Sequence[tuple[slice, slice]], flip: bool
) -> list[Tensor]:
    """A reference in every form in which it is trained on: whole, cut, and the mirror images of these.

    Args:
        image: [1, h, w, 3], see `rgb`.
        resolution: see `prepare`.
        crop: see `prepare`.
        cuts: rows and columns, as `windows` gives them.
        flip: whether mirror images are variants too.

    Returns:
        [1, H, W, 3] each, the whole picture first.
    """
    whole = prepare(image, resolution, crop)
    height, width = whole.shape[1:3]
    out = [whole, *(resize(image[:, rows, columns], height, width) for rows, columns in cuts)]
    return [*out, *(v.flip(2) for v in out)] if flip else out


def encode(vae: VAE, images: Sequence[Tensor]) -> list[Tensor]:
    """Latents [1, C, h, w] of images [1, H, W, 3], float32, on the CPU."""
    return [vae.encode(image).detach().float().cpu().clone() for image in images]


def from_pil(image: Image.Image) -> Tensor:
    """An image as the host has it, [1, H, W, 3] in [0, 1]."""
    return torch.from_numpy(np.asarray(image.convert("RGB"), dtype=np.float32) / 255.0)[None]
