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
        coins: of the anchor's samples, whether each is the reference of its number, else the pool's.
    """

    references: Samples
    pool: Samples | None = None
    anchor: Samples | None = None
    coins: tuple[bool, ...] = ()

    def of(self, text: Text) -> Samples:
        """The samples that a kind of text is run on."""
        return {"pool": self.pool, "anchor": self.anchor}.get(text, self.references)

    def sources(self, text: Text) -> list[tuple[str, int]]:
        """Which sample each of `of` is, by what it was drawn from and its number there."""
        if text == "anchor":
            return [("references" if coin else "pool", k) for k, coin in enumerate(self.coins)]
        return [("pool" if text == "pool" else "references", k) for k in range(len(self.of(text).texts))]


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
        return Draws(references, pool, _mixed(coins, references, pool), tuple(coins.tolist()))
    anchor = references if coins[0] else pool  # two shapes share no batch: one coin for all
    return Draws(references, pool, anchor, (bool(coins[0]),) * len(anchor.texts))


def _mixed(coins: Tensor, a: Samples, b: Samples) -> Samples:
    """The samples of `a` where a coin says so, [B], else those of `b`."""
    texts = tuple(x if p else y for p, x, y in zip(coins.tolist(), a.texts, b.texts, strict=True))
    where = coins.to(a.t.device)
    tensors = [
        torch.where(where.view(-1, *[1] * (x.ndim - 1)), x, y)
        for x, y in ((a.x_t, b.x_t), (a.t, b.t), (a.target, b.target), (a.mask, b.mask))
    ]
    return Samples(texts, *tensors)
