"""Where the concept is in a reference, read off the base model itself.

The base predicts another velocity for the class prompt than for the empty one mainly where the class is (the idea of
DiffEdit, arXiv 2210.11427). No other model is needed.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from . import objective
from .recipes import BASE
from .training import Trainee

DRAWS = 24
EARLIEST, LATEST = 0.3, 0.8
"""Times between which the draws lie: there what is where can still be seen, and the prompt still matters."""
BLUR = 1 / 24
"""Deviation of the blur in sides of the picture."""
SOFTNESS = 0.25
"""Width of the mask's edge in distances between the two clusters."""


@torch.no_grad()
def difference(trainee: Trainee, latents: Tensor, prompt: str, seed: int = 0, limit: int | None = 16) -> Tensor:
    """How much the prompt changes the base's velocity, by place: RMS over draws of (t, noise) and over channels.

    Args:
        trainee: its base is asked.
        latents: [V, C, H, W], in the model's space.
        prompt: the class word in a sentence; the conditioner must know it, and the empty one.
        seed: of the draws.
        limit: the most samples in one pass.

    Returns:
        [V, 1, H, W], blurred.
    """
    generator = torch.Generator().manual_seed(seed)
    out = []
    for x0 in latents.float().split(1):
        noise = torch.randn(DRAWS, *x0.shape[1:], generator=generator)
        t = torch.linspace(EARLIEST, LATEST, DRAWS)
        x0, noise, t = (a.to(trainee.model.device) for a in (x0.expand(DRAWS, -1, -1, -1), noise, t))
        x_t = objective.interpolate(x0, noise, t)
        named = trainee.run(BASE, x_t, t, [prompt] * DRAWS, limit)
        empty = trainee.run(BASE, x_t, t, [""] * DRAWS, limit)
        out.append((named - empty).float().square().mean((0, 1), keepdim=True).sqrt().cpu())
    return blur(torch.cat(out))


def blur(maps: Tensor) -> Tensor:
    """A Gaussian blur of [V, 1, H, W] by `BLUR` sides, edges repeated."""
    sigma = BLUR * math.sqrt(maps.shape[-1] * maps.shape[-2])
    reach = max(1, math.ceil(2.5 * sigma))
    x = torch.arange(-reach, reach + 1, dtype=maps.dtype)
    kernel = torch.exp(-0.5 * (x / sigma).square())
    kernel = kernel / kernel.sum()
    padded = F.pad(maps, (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))


def threshold(maps: Tensor) -> Tensor:
    """A soft two-cluster threshold of each of [V, 1, H, W]: 2-means, and a logistic edge between the means; in [0, 1].

    Values that do not differ have no two clusters: the mask is then 1 everywhere.
    """
    return torch.stack([_threshold(m) for m in maps])


def _threshold(values: Tensor) -> Tensor:
    low, high = values.min(), values.max()
    if not high - low > 1e-6 * high.abs():
        return torch.ones_like(values)
    for _ in range(50):
        upper = values > (low + high) / 2
        means = values[~upper].mean(), values[upper].mean()
        if means == (low, high):
            break
        low, high = means
    return torch.sigmoid((values - (low + high) / 2) / (SOFTNESS * 0.5 * (high - low)))


def concept_mask(trainee: Trainee, latents: Tensor, prompt: str, seed: int = 0) -> Tensor:
    """The mask M of the class that `prompt` names in a reference, [V, 1, H, W] in [0, 1]; see `difference`."""
    return threshold(difference(trainee, latents, prompt, seed))
