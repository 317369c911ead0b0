"""Images that the base model generates before training, for recipes that preserve it on them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..method.path import NoisePath
from ..method.recipe import BASE
from ..network import sampling
from ..text.texts import MARKER, ConceptTexts, has_marker
from .branched_model import BranchedModel
from .dataset import ConceptItem

POOL_PROMPTS = (
    "a steam train crossing a bridge",
    "a snowy village at dusk",
    "a cat asleep on a sofa",
    "a blue vase on a windowsill",
    "a plate of pasta with basil",
    "a vintage car on a country road",
    "a red bicycle leaning against a fence",
    "a waterfall in a green valley",
    "an old library full of books",
    "a loaf of bread on a cutting board",
    "a close-up of a sunflower",
    "a flock of geese over a field",
    "a lighthouse in a storm",
    "an ink drawing of a bamboo grove",
    "two children flying a kite",
    "an umbrella on a wet pavement",
    "a pencil drawing of a castle",
    "a neon sign above a diner",
    "a pair of boots by a door",
    "a coral reef with small fish",
    "a desert under a starry sky",
    "a grand piano in an empty hall",
    "an oil painting of a horse",
    "a pixel art picture of a spaceship",
)
"""Varied things, places and styles; drift is measured on none of them."""

BATCH = 4
"""Images generated at a time."""

CFG, STEPS, ORDER = 4.0, 10, 2
DENSER, FINE = 1.6, 200
"""Times lie at 1 - (1 - k / STEPS)^DENSER of a schedule of FINE steps: the last steps, which draw what is small, are
shortest. With ORDER, half of the passes come as near to the exact path as 20 even steps of Euler's method."""


def pool_times(path: NoisePath) -> Tensor:
    """Return the times at which the base is asked, [STEPS + 1], falling to 0."""
    at = (1 - (1 - torch.arange(STEPS + 1) / STEPS) ** DENSER) * FINE
    return path.steps(FINE)[at.round().long()]


def pool_prompts(lines: Sequence[str]) -> tuple[str, ...]:
    """Return the prompts of the pool: all lines but those with [class].

    In older workflows [class] stood for the class word. Images of the class in other places teach the model that it
    looks plain there, and the concept then fails to appear in them; so these lines are left out.

    Raises:
        ValueError: a line marks the concept, which the base does not know.
    """
    for number, line in enumerate(lines, start=1):
        if has_marker(line):
            raise ValueError(
                f"Pool prompt {number}, {line!r}, has {MARKER}, but the base model generates these images and does not "
                "know the concept. Write prompts of other things."
            )
    return tuple(line for line in lines if "[class]" not in line)


Plan = dict[tuple[int, ...], list[ConceptTexts]]
"""The texts of the images of each shape (C, H, W)."""


def plan_pool(items: Sequence[ConceptItem], prompts: Sequence[str], count: int) -> Plan:
    """Return what to generate, in the shapes of the references; see `generate_pool`."""
    own = [replace(i.texts, base=p) for i, p in zip(itertools.cycle(items), prompts)]
    texts = own or [i.texts for i in items]
    shapes = [tuple(i.latents.shape[1:]) for i in items]
    wanted: Plan = {}
    for k in range(count):
        wanted.setdefault(shapes[k % len(shapes)], []).append(texts[k % len(texts)])
    return wanted


def pool_items(plan: Plan, latents: Sequence[Tensor]) -> tuple[ConceptItem, ...]:
    """Return the items of a pool from its images in the order of the plan, [1, C, H, W] each."""
    texts = [text for rows in plan.values() for text in rows]
    return tuple(ConceptItem(x, y, torch.zeros(0)) for x, y in zip(latents, texts, strict=True))


def generate_pool(
    branched: BranchedModel,
    items: Sequence[ConceptItem],
    prompts: Sequence[str],
    count: int,
    seed: int,
    on_image: Callable[[int, int], None] = lambda number, count: None,
    limit: int = 2 * BATCH,
) -> tuple[ConceptItem, ...]:
    """Return images that the base generates, in the shapes of the references.

    Args:
        branched: the model; the conditioner must know the prompts, and the empty one.
        items: the references, in the model's space.
        prompts: used in turn; none: the base texts of the references.
        count: number of images.
        seed: of the starting noise.
        on_image: called before every batch, with the number of its first image from 1 and the count of all.
        limit: the most samples in one pass; an image takes two, one with its prompt and one without.

    Returns:
        Items whose base text is their prompt.
    """
    generator = torch.Generator().manual_seed(seed)
    t = pool_times(branched.field.path).to(branched.field.device)
    wanted = plan_pool(items, prompts, count)
    out: list[Tensor] = []
    for shape, rows in wanted.items():
        for start in range(0, len(rows), BATCH):
            on_image(len(out) + 1, count)
            some = rows[start : start + BATCH]
            noise = torch.randn(len(some), *shape, generator=generator).to(branched.field.device)
            velocity = branched.guided(BASE, [r.base for r in some], CFG, limit)
            out += sampling.sample(velocity, noise, t, ORDER).cpu().split(1)
    return pool_items(wanted, out)
