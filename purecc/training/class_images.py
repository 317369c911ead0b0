"""Images of the class that the base model generates, for a recipe that learns on them and sees no reference."""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import replace
from random import Random
from typing import NamedTuple

import torch
from torch import Tensor

from ..text.places import LEFT, PLACES, RIGHT, said_in_english
from ..text.texts import ConceptTexts, default_caption, parse_caption
from .branched_model import BranchedModel
from .companions import errors, parted
from .dataset import ConceptDataset, ConceptItem


class ClassCaption(NamedTuple):
    """What one image shows.

    Attributes:
        told: all of it, with [v].
        said: what the learner is told of it, with [v].
        other: a thing that stands beside the concept; empty: none.
    """

    told: str
    said: str
    other: str = ""


GROUNDS = (
    *("on a sandy beach", "in a forest", "on a city street", "on a wooden table", "in a meadow", "in the snow"),
    *("in front of a brick wall", "under a night sky", "by a lake", "on a plain white background", "in a kitchen"),
    "on a mountain path",
)
STYLES = (", photo", ", oil painting", ", pencil drawing", ", flat illustration")
"""Where and how images of the class show it, if nobody says otherwise."""
OTHERS = (
    *("a red ball", "a wooden chair", "a blue bottle", "a potted plant", "a brown dog", "a white cup", "a black cat"),
    *("a green book", "a yellow umbrella", "a cardboard box", "a pink vase", "a brass lamp", "an orange backpack"),
    *("a grey bench", "a purple kite", "a silver bicycle"),
)
"""What stands beside it."""
UNSAID_GROUND, UNSAID_PLACE = 0.25, 0.4
"""Shares of the images of which the learner is not told them."""
BESIDE = 6
"""One image in so many shows another thing beside it."""


def class_captions(
    class_word: str,
    grounds: Sequence[str],
    styles: Sequence[str],
    count: int,
    rng: Random,
    avoid: Set[str] = frozenset(),
    others: Sequence[str] = OTHERS,
) -> tuple[ClassCaption, ...]:
    """Return captions of images of a class, each on a ground, in a style or none, at each place in turn.

    Args:
        class_word: of the concept.
        grounds: what may follow the class word, such as "on a beach"; at least one.
        styles: what may follow then.
        count: of the images.
        rng: chooses.
        avoid: what the learner may not be told.
        others: things, such as "a chair", one of which stands beside it in every sixth image; none is of the class.
    """
    marked, out = default_caption(class_word), list[ClassCaption]()
    named = set(class_word.lower().split())
    others = [other for other in others if named.isdisjoint(other.lower().split()[1:])]
    while len(out) < count:
        ground, style = rng.choice(list(grounds)), rng.choice(["", *styles])
        less = rng.random() < UNSAID_GROUND, rng.random() < UNSAID_PLACE
        other, pairs = "", len(out) // BESIDE if others else 0
        if others and len(out) % BESIDE == BESIDE - 1:
            other = rng.choice(others)
            sides, things = rng.sample((LEFT, RIGHT), 2), [marked, f"and {other}"]
        else:
            sides, things = [PLACES[(len(out) - pairs) % len(PLACES)]], [marked]
        placed = [part for thing, side in zip(things, sides, strict=True) for part in (thing, said_in_english(side))]
        told = _joined(*placed, ground, style)
        said = _joined(*(things if less[1] else placed), "" if less[0] else ground, style)
        if said not in avoid:
            out.append(ClassCaption(told, said, other))
    return tuple(out)


def _joined(*parts: str) -> str:
    return " ".join(filter(None, parts)).replace(" ,", ",")


def class_texts(dataset: ConceptDataset, captions: Sequence[ClassCaption]) -> list[ConceptTexts]:
    """Return the texts of images of the class.

    The base text, by which the base generates the image, and the target text, which the extractor is told, name all
    that it shows. The complete text may name less.

    Raises:
        ValueError: a caption cannot be read.
    """
    texts = []
    for whole, said, _ in captions:
        told, learned = (parse_caption(text, dataset.class_word, dataset.kind) for text in (whole, said))
        texts.append(replace(told, complete=learned.complete, target=told.complete))
    return texts


def class_items(dataset: ConceptDataset, captions: Sequence[ClassCaption]) -> tuple[ConceptItem, ...]:
    """Return an item for every caption, in the shapes of the references in turn, with these as its latents so far."""
    texts, items = class_texts(dataset, captions), dataset.items
    return tuple(replace(items[k % len(items)], texts=t, mask=None, weight=1) for k, t in enumerate(texts))


def apart(branched: BranchedModel, item: ConceptItem, prompts: Sequence[str], limit: int | None = None) -> Tensor:
    """Return where in an image the class may be, beside another thing: on its side of the middle between the two.

    Args:
        branched: the model; its base tells the two apart, see `companions.parted`.
        item: the image, in the model's space.
        prompts: of the class and of the other thing; the conditioner knows them.
        limit: the most samples in one pass.

    Returns:
        [V, 1, H, W] in [0, 1]; 0 everywhere where the base sees but one of them.
    """
    of_class, of_other = errors(branched, item.latents, prompts, limit=limit).unbind(1)
    mask, distance = parted(torch.ones_like(item.latents[:, :1]), of_class, of_other)
    return mask * (distance > 0).view(-1, 1, 1, 1)


def with_references(
    images: Sequence[ConceptItem], references: Sequence[ConceptItem], latest: float
) -> tuple[ConceptItem, ...]:
    """Return images of the class and, sampled as often, the references at early times.

    Args:
        images: of the class.
        references: with their masks.
        latest: factor of the references' times.
    """
    ours, theirs = len(images), sum(item.weight for item in references)
    common = math.gcd(ours, theirs)
    out = [replace(i, weight=theirs // common) for i in images]
    for item in references:
        told = replace(item.texts, target=item.texts.complete)
        out.append(replace(item, texts=told, latest=latest, weight=item.weight * ours // common))
    return tuple(out)
