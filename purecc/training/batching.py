"""The random samples of a step: references, their noise and times, and which of them anchor it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..method.path import NoisePath, interpolate, target_velocity
from ..method.recipe import Recipe, Samples, Text
from ..network.field import VelocityField
from .dataset import Batch
from .settings import Settings


@dataclass(frozen=True)
class StepSamples:
    """The samples of a batch, kept so that it can be run again.

    Attributes:
        references: noised references.
        pool: noised images of the pool, where the recipe has one.
        anchor: some of either, where the recipe anchors.
        coins: for each anchor sample, whether it is the reference of its number, else the pool's.
    """

    references: Samples
    pool: Samples | None = None
    anchor: Samples | None = None
    coins: tuple[bool, ...] = ()

    def rows(self, part: slice) -> StepSamples:
        """Return some rows of the batch."""
        pool, anchor = (None if samples is None else _rows(samples, part) for samples in (self.pool, self.anchor))
        return StepSamples(_rows(self.references, part), pool, anchor, self.coins[part])

    def of(self, text: Text) -> Samples:
        """Return the samples that a kind of text is run on."""
        found = {"pool": self.pool, "anchor": self.anchor}.get(text, self.references)
        assert found is not None, f"the recipe has a pass on {text!r} and no samples for it"
        return found

    def sources(self, text: Text) -> list[tuple[str, int]]:
        """Return which sample each of `of` is: "references" or "pool", and its number there."""
        if text == "anchor":
            return [("references" if coin else "pool", k) for k, coin in enumerate(self.coins)]
        return [("pool" if text == "pool" else "references", k) for k in range(len(self.of(text).texts))]


def sample_step(
    streams: Sequence[Iterator[Batch]],
    recipe: Recipe,
    settings: Settings,
    field: VelocityField,
    generator: torch.Generator,
) -> StepSamples:
    """Return the random samples of a batch.

    Args:
        streams: batches of the references, and of the pool where the recipe has one.
        recipe: the method.
        settings: density and shift of t.
        field: the model; the samples are on its device.
        generator: on the CPU, so that every device gives the same.
    """
    return together(recipe, generator, *(noised(stream, settings, field, generator) for stream in streams))


def noised(stream: Iterator[Batch], settings: Settings, field: VelocityField, generator: torch.Generator) -> Samples:
    """Return the next batch with noise at random t."""
    batch = next(stream)
    x1 = torch.randn(batch.x0.shape, generator=generator)
    t = field.path.sample_times(len(x1), generator, settings.density, settings.shift) * batch.latest
    x0, x1, t, mask, drawn = (a.to(field.device) for a in (batch.x0.float(), x1, t, batch.mask, batch.drawn))
    target = weighted(field.path, target_velocity(x0, x1), t)
    return Samples(batch.texts, interpolate(x0, x1, t), t, target, mask, drawn)


def _rows(samples: Samples, part: slice) -> Samples:
    return Samples(samples.texts[part], *(x[part] for x in _tensors(samples)))


def _tensors(s: Samples) -> tuple[Tensor, ...]:
    return s.x_t, s.t, s.target, s.mask, s.drawn


def weighted(path: NoisePath, v: Tensor, t: Tensor) -> Tensor:
    """Return velocities [B, C, H, W] times the root of the model's loss weight at t [B], as losses compare them."""
    return v * path.gain(t).view(-1, *[1] * (v.ndim - 1))


def together(
    recipe: Recipe, generator: torch.Generator, references: Samples, pool: Samples | None = None
) -> StepSamples:
    """Return these samples, with those of the anchor where the recipe anchors: a coin decides for each."""
    if pool is None or not recipe.needs_text("anchor"):
        return StepSamples(references, pool)
    coins = torch.rand(len(references.t), generator=generator) < 0.5
    if references.x_t.shape == pool.x_t.shape:
        return StepSamples(references, pool, _mixed(coins, references, pool), tuple(coins.tolist()))
    anchor = references if coins[0] else pool  # two shapes share no batch: one coin for all
    return StepSamples(references, pool, anchor, (bool(coins[0]),) * len(anchor.texts))


def _mixed(coins: Tensor, a: Samples, b: Samples) -> Samples:
    """Return the samples of `a` where its coin is true, [B], else those of `b`."""
    texts = tuple(x if p else y for p, x, y in zip(coins.tolist(), a.texts, b.texts, strict=True))
    where = coins.to(a.t.device)
    tensors = [
        torch.where(where.view(-1, *[1] * (x.ndim - 1)), x, y) for x, y in zip(_tensors(a), _tensors(b), strict=True)
    ]
    return Samples(texts, *tensors)
