"""What chance gives a step: its references, their noise and noise levels, and which of them anchor it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from . import objective
from .dataset import Batch
from .recipes import Recipe, Samples, Text, needs
from .settings import Settings


@dataclass(frozen=True)
class Draws:
    """The samples of a batch, kept so that it can be run again.

    Attributes:
        references: of the references.
        pool: of the pool, where the recipe has one.
        anchor: of both, where the recipe anchors.
    """

    references: Samples
    pool: Samples | None = None
    anchor: Samples | None = None

    def of(self, text: Text) -> Samples:
        """The samples that a kind of text is run on."""
        return {"pool": self.pool, "anchor": self.anchor}.get(text, self.references)


def draw(
    streams: Sequence[Iterator[Batch]],
    recipe: Recipe,
    settings: Settings,
    device: torch.device,
    generator: torch.Generator,
) -> Draws:
    """The draws of a batch.

    Args:
        streams: batches of the references, and of the pool where the recipe has one.
        recipe: the method.
        settings: density and shift of t.
        device: where the samples are wanted.
        generator: on the CPU, so that every device draws the same.
    """
    return together(recipe, generator, *(noised(stream, settings, device, generator) for stream in streams))


def noised(stream: Iterator[Batch], settings: Settings, device: torch.device, generator: torch.Generator) -> Samples:
    """The next batch with noise at random t."""
    batch = next(stream)
    x1 = torch.randn(batch.x0.shape, generator=generator)
    t = objective.sample_timesteps(len(x1), generator, density=settings.density, shift=settings.shift)
    x0, x1, t, mask = (a.to(device) for a in (batch.x0.float(), x1, t, batch.mask))
    return Samples(batch.texts, objective.interpolate(x0, x1, t), t, objective.target_velocity(x0, x1), mask)


def together(recipe: Recipe, generator: torch.Generator, references: Samples, pool: Samples | None = None) -> Draws:
    """Draws of these samples, a coin for each deciding what anchors it where the recipe anchors."""
    if not needs(recipe, text="anchor"):
        return Draws(references, pool)
    coins = torch.rand(len(references.t), generator=generator) < 0.5
    if references.x_t.shape == pool.x_t.shape:
        return Draws(references, pool, _mixed(coins, references, pool))
    return Draws(references, pool, references if coins[0] else pool)  # two shapes share no batch: one coin for all


def _mixed(picked: Tensor, a: Samples, b: Samples) -> Samples:
    """The samples of `a` where picked, [B], else those of `b`."""
    texts = tuple(x if p else y for p, x, y in zip(picked.tolist(), a.texts, b.texts, strict=True))
    where = picked.to(a.t.device)
    tensors = [
        torch.where(where.view(-1, *[1] * (x.ndim - 1)), x, y)
        for x, y in ((a.x_t, b.x_t), (a.t, b.t), (a.target, b.target), (a.mask, b.mask))
    ]
    return Samples(texts, *tensors)
