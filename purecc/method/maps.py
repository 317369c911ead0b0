"""Maps of an image, [B, 1, H, W]: blurred, thresholded, widened. Lengths are in sides of the image."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

BLUR = 1 / 24
"""Default deviation of the blur."""
SOFTNESS = 0.25
"""Width of a threshold's edge in distances between the two clusters."""
ROUNDS = 20
"""Rounds of 2-means; a fixed number, since a test for convergence would make a GPU wait at every round."""


def difference(a: Tensor, b: Tensor) -> Tensor:
    """Return how far two velocities [B, C, H, W] are apart, by place: RMS over channels, [B, 1, H, W], float32."""
    return (a.float() - b.float()).square().mean(1, keepdim=True).sqrt()


def blur(maps: Tensor, deviation: float = BLUR) -> Tensor:
    """Return each map with a Gaussian blur, edges repeated."""
    sigma = deviation * _side(maps)
    reach = max(1, math.ceil(2.5 * sigma))
    x = torch.arange(-reach, reach + 1, dtype=maps.dtype, device=maps.device)
    kernel = torch.exp(-0.5 * (x / sigma).square())
    kernel = kernel / kernel.sum()
    padded = F.pad(maps, (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))


def threshold(maps: Tensor) -> Tensor:
    """Return a soft two-cluster threshold of each map, in [0, 1]: 2-means, and a logistic edge between the means.

    A map of equal values has no two clusters; it becomes 1 everywhere.
    """
    lowest, highest = maps.amin((1, 2, 3), keepdim=True), maps.amax((1, 2, 3), keepdim=True)
    low, high = lowest, highest
    for _ in range(ROUNDS):
        upper = (maps > (low + high) / 2).to(maps.dtype)
        count, total = upper.sum((1, 2, 3), keepdim=True), (maps * upper).sum((1, 2, 3), keepdim=True)
        high = total / count.clamp_min(1)
        low = (maps * (1 - upper)).sum((1, 2, 3), keepdim=True) / (maps[0].numel() - count).clamp_min(1)
    edge = (SOFTNESS * 0.5 * (high - low)).clamp_min(torch.finfo(maps.dtype).tiny)
    differ = highest - lowest > 1e-6 * highest.abs()
    return torch.where(differ, torch.sigmoid((maps - (low + high) / 2) / edge), 1.0)


def widen(maps: Tensor, by: float) -> Tensor:
    """Return the largest value within a distance, at least one place, of each place of each map."""
    reach = max(1, round(by * _side(maps)))
    return F.max_pool2d(maps, 2 * reach + 1, stride=1, padding=reach)


def spread(maps: Tensor) -> Tensor:
    """Return how long each map is, [B], in sides of a square as large: its deviation along its longest axis.

    A square has .29, two that touch have .41.
    """
    height, width = maps.shape[-2:]
    rows, columns = (torch.arange(n, dtype=maps.dtype, device=maps.device) for n in (height, width))
    places = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1).flatten(0, 1)
    weights = maps.flatten(1)
    total = weights.sum(1).clamp_min(torch.finfo(maps.dtype).tiny)
    shares = weights / total[:, None]
    away = places - (shares @ places)[:, None]
    variance = torch.einsum("bn,bni,bnj->bij", shares, away, away) + torch.eye(2, dtype=maps.dtype).to(maps) / 12
    return (torch.linalg.eigvalsh(variance)[:, -1] / total).sqrt()


def _side(maps: Tensor) -> float:
    return math.sqrt(maps.shape[-1] * maps.shape[-2])
