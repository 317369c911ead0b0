"""What colours parts of a picture have: smoothed histograms, and how alike two are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

SIDE = 128
"""The longer side of a picture whose colours are counted, at most; pixels."""
BINS = 16
"""Along each of red, green and blue."""
SMOOTHING = 0.7
"""Deviation of the histograms' blur, in bins."""


@dataclass(frozen=True)
class Coloured:
    """A small copy of a picture, and the bin of each of its colours.

    Attributes:
        shape: of the copy, (h, w).
        bins: [h, w], int64.
    """

    shape: tuple[int, int]
    bins: Tensor

    @classmethod
    def of(cls, picture: Tensor) -> Coloured:
        """Return that of a picture [h, w, 3] in [0, 1]."""
        height, width = picture.shape[:2]
        factor = min(1.0, SIDE / max(height, width))
        shape = max(1, round(factor * height)), max(1, round(factor * width))
        small = F.interpolate(picture.float().movedim(-1, 0)[None], shape, mode="area")[0]
        red, green, blue = (small * BINS).long().clamp(0, BINS - 1)
        return cls(shape, (red * BINS + green) * BINS + blue)

    def enlarged(self, mask: Tensor) -> Tensor:
        """Return a mask [H, W] at the size of the copy."""
        return F.interpolate(mask[None, None].float(), self.shape, mode="bilinear", align_corners=False)[0, 0]

    def histogram(self, weights: Tensor) -> Tensor:
        """Return the share of every colour in a part of the picture, [BINS³]; 0 everywhere where it is empty.

        Args:
            weights: how much each place is of the part, [h, w].
        """
        counts = torch.zeros(BINS**3).scatter_add_(0, self.bins.flatten(), weights.flatten().float())
        smooth = _blurred(counts.view(1, 1, BINS, BINS, BINS)).flatten()
        return smooth / smooth.sum().clamp_min(torch.finfo(smooth.dtype).tiny)


def alike(a: Tensor, b: Tensor) -> float:
    """Return what two histograms have in common, each in parts of its sum: 0 nothing, 1 everything."""
    tiny = torch.finfo(a.dtype).tiny
    return float(torch.minimum(a / a.sum().clamp_min(tiny), b / b.sum().clamp_min(tiny)).sum())


def _blurred(counts: Tensor) -> Tensor:
    reach = 2
    at = torch.arange(-reach, reach + 1.0)
    kernel = torch.exp(-0.5 * (at / SMOOTHING).square())
    kernel = kernel / kernel.sum()
    for axis in range(2, 5):
        pad = [0] * 6
        pad[2 * (4 - axis)] = pad[2 * (4 - axis) + 1] = reach
        shape = [len(at) if k == axis else 1 for k in range(5)]
        counts = F.conv3d(F.pad(counts, pad, mode="replicate"), kernel.view(shape))
    return counts
