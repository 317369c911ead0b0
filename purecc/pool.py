"""Pictures that the base itself draws before training, for recipes that hold the model to them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from . import sampling
from .dataset import ConceptItem
from .measure import guided
from .recipes import BASE
from .texts import MARKER, ConceptTexts
from .trainee import Trainee

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
"""Varied things, places and styles; none of them is among the prompts that drift is measured on."""

BATCH = 4
"""Pictures drawn at a time."""

CFG, STEPS = 4.0, 20


def pool_prompts(lines: Sequence[str]) -> tuple[str, ...]:
    """Prompts of the pool: all lines but those with [class].

    In older workflows [class] stood for the class word. Pictures of the class on other grounds teach that it is plain
    there, and the concept is then not drawn on them; so these lines are left out.

    Raises:
        ValueError: a line marks the concept, which the base does not know.
    """
    for number, line in enumerate(lines, start=1):
        if MARKER in line.lower():
            raise ValueError(
                f"Pool prompt {number}, {line!r}, has {MARKER}: the base draws these pictures and does not know the "
                "concept. Write prompts of other things."
            )
    return tuple(line for line in lines if "[class]" not in line)


def draw_pool(
    trainee: Trainee,
    items: Sequence[ConceptItem],
    prompts: Sequence[str],
    count: int,
    seed: int,
    say: Callable[[str], None] = lambda text: None,
    limit: int = 2 * BATCH,
) -> tuple[ConceptItem, ...]:
    """Pictures that the base draws, in the shapes of the references.

    Args:
        trainee: its base draws; the conditioner must know the prompts, and the empty one.
        items: the references, in the model's space.
        prompts: what is drawn, in turn; none: the base texts of the references.
        count: how many.
        seed: of the starting noise.
        say: told of every batch.
        limit: the most samples in one pass; a picture takes two, one with its prompt and one without.

    Returns:
        Items whose base text is their prompt.
    """
    generator = torch.Generator().manual_seed(seed)
    t = sampling.times(STEPS).to(trainee.model.device)
    own = [replace(i.texts, base=p) for i, p in zip(itertools.cycle(items), prompts)]
    texts = own or [i.texts for i in items]
    shapes = [tuple(i.latents.shape[1:]) for i in items]
    wanted: dict[tuple[int, ...], list[ConceptTexts]] = {}
    for k in range(count):
        wanted.setdefault(shapes[k % len(shapes)], []).append(texts[k % len(texts)])
    out: list[ConceptItem] = []
    for shape, rows in wanted.items():
        for start in range(0, len(rows), BATCH):
            say(f"drawing picture {len(out) + 1} of {count} with the base")
            some = rows[start : start + BATCH]
            noise = torch.randn(len(some), *shape, generator=generator).to(trainee.model.device)
            drawn = sampling.sample(guided(trainee, BASE, [r.base for r in some], CFG, limit), noise, t).cpu()
            out += [ConceptItem(x, y, torch.zeros(0)) for x, y in zip(drawn.split(1), some, strict=True)]
    return tuple(out)
