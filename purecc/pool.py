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
from .texts import MARKER, ConceptTexts, parse_caption
from .training import Trainee

CLASS = "[class]"
"""Stands for the class word in a pool prompt."""

POOL_PROMPTS = (
    "a [class] on a sandy beach",
    "a steam train crossing a bridge",
    "a [class] in deep snow",
    "a cat asleep on a sofa",
    "a [class] on a wooden floor",
    "a plate of pasta with basil",
    "a [class] in a green meadow",
    "a red bicycle leaning against a fence",
    "a [class] on a city pavement",
    "an old library full of books",
    "a [class] in front of a brick wall",
    "a close-up of a sunflower",
    "a [class] on a kitchen table",
    "a lighthouse in a storm",
    "a [class] in a pine forest",
    "two children flying a kite",
    "a [class] in front of a plain white wall",
    "a pencil drawing of a castle",
    "a [class] on a blue carpet",
    "a pair of boots by a door",
    "a [class] beside a window",
    "a desert under a starry sky",
    "a [class] on a rocky hill",
    "an oil painting of a horse",
)
"""Half the class in named places, half other things; none of them is among the prompts that drift is measured on."""

BATCH = 4
"""Pictures drawn at a time."""

CFG, STEPS = 4.0, 20


def pool_prompts(lines: Sequence[str], class_word: str, kind: str) -> tuple[str, ...]:
    """Prompts of the pool from lines in which [class] stands for the class word.

    Articles are fitted to the class word. The class word of a style names no thing, so lines with [class] are left out
    for a style.

    Raises:
        ValueError: a line marks the concept, which the base does not know, or has no use for the class word.
    """
    out = []
    for number, line in enumerate(lines, start=1):
        if MARKER in line.lower():
            raise ValueError(
                f"Pool prompt {number}, {line!r}, has {MARKER}: the base draws these pictures and does not know the "
                f"concept. Write {CLASS} for the class word."
            )
        if CLASS not in line:
            out.append(line)
        elif kind == "instance":
            marked = line.replace(CLASS, f"{MARKER} {class_word}", 1).replace(CLASS, class_word)
            try:
                out.append(parse_caption(marked, class_word).base)
            except ValueError as error:
                raise ValueError(f"Pool prompt {number}, {line!r}: {error}") from error
    return tuple(out)


def draw_pool(
    trainee: Trainee,
    items: Sequence[ConceptItem],
    prompts: Sequence[str],
    count: int,
    seed: int,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[ConceptItem, ...]:
    """Pictures that the base draws, in the shapes of the references.

    Args:
        trainee: its base draws; the conditioner must know the prompts, and the empty one.
        items: the references, in the model's space.
        prompts: what is drawn, in turn; none: the base texts of the references.
        count: how many.
        seed: of the starting noise.
        say: told of every batch.

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
            drawn = sampling.sample(guided(trainee, BASE, [r.base for r in some], CFG), noise, t).cpu()
            out += [ConceptItem(x, y, torch.zeros(0)) for x, y in zip(drawn.split(1), some, strict=True)]
    return tuple(out)
