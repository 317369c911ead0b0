"""Show a mask on its image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

OUTSIDE = 0.3
"""Brightness of the image where the mask is 0."""
OUTLINE = (1.0, 0.85, 0.0)
EDGE = 0.5
"""Value of the mask at the outline."""
GAP = 4
GROUND = 0.5
"""Grey between tiled images, for light and dark pages."""


def overlay(image: Tensor, mask: Tensor | None) -> Tensor:
    """Dim an image outside its mask and outline where the mask crosses one half.

    Args:
        image: [h, w, 3] in [0, 1].
        mask: [1, H, W] in [0, 1], of the same image at any resolution; None returns the image unchanged.

    Returns:
        [h, w, 3] in [0, 1].
    """
    image = image.float().clone()
    if mask is None:
        return image
    height, width = image.shape[:2]
    soft = F.interpolate(mask[None].float(), (height, width), mode="bilinear", align_corners=False).clamp(0, 1)
    dimmed = image * (OUTSIDE + (1 - OUTSIDE) * soft[0, 0, :, :, None])
    inside = (soft > EDGE).float()
    side = 2 * max(1, round(max(height, width) / 256)) + 1
    eroded = -F.max_pool2d(-inside, side, stride=1, padding=side // 2)
    line = (inside - eroded)[0, 0, :, :, None] > 0
    return torch.where(line, torch.tensor(OUTLINE), dimmed)


def tiled(images: Sequence[Tensor]) -> Tensor:
    """Tile images [h, w, 3] of any sizes on one grey sheet, row by row, [1, H, W, 3]."""
    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    height, width = (max(image.shape[k] for image in images) + GAP for k in (0, 1))
    sheet = torch.full((rows * height - GAP, columns * width - GAP, 3), GROUND)
    for k, image in enumerate(images):
        top, left = k // columns * height, k % columns * width
        sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
    return sheet[None]
