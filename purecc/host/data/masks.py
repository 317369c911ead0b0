"""Check masks of the user, and bring them to the size of images and latents."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def is_empty(mask: Tensor) -> bool:
    """Return whether a mask marks nothing."""
    return bool((mask <= 0).all())


def remark_on(mask: Tensor) -> str:
    """Return what is odd about a mask [1, h, w]: it is empty, or seems to mark the background; else nothing."""
    outside = 1 - mask.float()
    if is_empty(mask):
        return "It is empty, so training finds the concept."
    ring = torch.cat([outside[:, 0], outside[:, -1], outside[:, :, 0], outside[:, :, -1]], dim=1)
    if float(ring.mean()) < 0.5 * min(1.0, float(outside.mean())):
        return (
            "It covers the edge of the image and not the middle, as the MASK of Load Image does for a cut-out. If it "
            "marks the background, put Invert Mask before masks."
        )
    return ""


def single_masks(masks: Sequence[Tensor], count: int) -> list[Tensor | None]:
    """Split masks into one [1, h, w] for each image; None for each if there are none.

    Raises:
        ValueError: their number is not that of the images.
    """
    single = [m for batch in masks for m in batch.reshape(-1, *batch.shape[-2:]).split(1)]
    if not single:
        return [None] * count
    if len(single) != count:
        raise ValueError(f"There are {count} images and {len(single)} masks. Give one mask per image, or none.")
    return single


def check_crop(mask: Tensor) -> None:
    """Refuse a cropped mask [1, H, W, 3] that is empty.

    Raises:
        ValueError: it is.
    """
    if not mask.any():
        raise ValueError("The mask lies outside the crop. Set crop to none.")


def as_image(mask: Tensor, height: int, width: int) -> Tensor:
    """Convert a mask [1, h, w] to an image [1, height, width, 3].

    Raises:
        ValueError: it has another shape than the image, or is not finite.
    """
    h, w = mask.shape[1:]
    if abs(h * width - w * height) > max(h, w, height, width):  # a row or column more or less is rounding
        raise ValueError(f"The mask is {w} x {h} and its image {width} x {height}. Give it the shape of its image.")
    mask = mask.float()
    if not torch.isfinite(mask).all():
        raise ValueError("The mask contains values that are not finite numbers. Replace it.")
    if (h, w) != (height, width):
        mask = F.interpolate(mask[None], (height, width), mode="bilinear", antialias=True)[0]
    return mask.clamp(0, 1)[..., None].expand(-1, -1, -1, 3)


def averaged(variants: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
    """Average grey images to masks of the latents, [V, 1, H, W]."""
    return F.adaptive_avg_pool2d(torch.cat([v[..., 0] for v in variants])[:, None], size).cpu()
