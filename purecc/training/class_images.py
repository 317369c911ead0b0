"""Images of the class that the base model generates, for a recipe that learns on them and sees no reference."""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import replace
from random import Random

import torch

from ..text.places import LEFT, PLACES, RIGHT, said_in_english
from ..text.texts import ConceptTexts, default_caption, parse_caption
from .dataset import ConceptDataset, ConceptItem

ClassCaption = tuple[str, str]
"""Two captions of one image, with [v]: all that it shows, and what the learner is told of it."""

GROUNDS = (
    *("on a sandy beach", "in a forest", "on a city street", "on a wooden table", "in a meadow", "in the snow"),
    *("in front of a brick wall", "under a night sky", "by a lake", "on a plain white background", "in a kitchen"),
    "on a mountain path",
)
STYLES = (", photo", ", oil painting", ", pencil drawing", ", flat illustration")
"""Where and how images of the class show it, if nobody says otherwise."""
UNSAID_GROUND, UNSAID_PLACE = 0.25, 0.4
"""Shares of the images of which the learner is not told them."""
BESIDE = 3
"""Every so manieth image shows another thing beside it."""


def class_captions(
    class_word: str,
    grounds: Sequence[str],
    styles: Sequence[str],
    count: int,
    rng: Random,
    avoid: Set[str] = frozenset(),
    others: Sequence[str] = (),
) -> tuple[ClassCaption, ...]:
    """Return captions of images of a class, each on a ground, in a style or none, at each place in turn.

    Args:
        class_word: of the concept.
        grounds: what may follow the class word, such as "on a beach"; at least one.
        styles: what may follow then.
        count: of the images.
        rng: chooses.
        avoid: what the learner may not be told.
        others: things, such as "a chair", one of which stands beside it in every third image; none: in no image.
    """
    marked, out = default_caption(class_word), list[ClassCaption]()
    while len(out) < count:
        ground, style = rng.choice(list(grounds)), rng.choice(["", *styles])
        less = rng.random() < UNSAID_GROUND, rng.random() < UNSAID_PLACE
        pairs = len(out) // BESIDE if others else 0
        if others and len(out) % BESIDE == BESIDE - 1:
            sides = rng.sample((LEFT, RIGHT), 2)
            things = marked, f"and {rng.choice(list(others))}"
        else:
            sides, things = [PLACES[(len(out) - pairs) % len(PLACES)]], (marked,)
        placed = [part for thing, side in zip(things, sides, strict=True) for part in (thing, said_in_english(side))]
        told = _joined(*placed, ground, style)
        said = _joined(*(things if less[1] else placed), "" if less[0] else ground, style)
        if said not in avoid:
            out.append((told, said))
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
    for whole, said in captions:
        told, learned = (parse_caption(text, dataset.class_word, dataset.kind) for text in (whole, said))
        texts.append(replace(told, complete=learned.complete, target=told.complete))
    return texts


def class_items(dataset: ConceptDataset, captions: Sequence[ClassCaption]) -> tuple[ConceptItem, ...]:
    """Return an item for every caption, in the shapes of the references in turn, with these as its latents so far."""
    texts, items = class_texts(dataset, captions), dataset.items
    return tuple(replace(items[k % len(items)], texts=t, mask=None, weight=1) for k, t in enumerate(texts))


def with_references(
    images: Sequence[ConceptItem], references: Sequence[ConceptItem], latest: float
) -> tuple[ConceptItem, ...]:
    """Return images of the class with empty masks and, sampled as often, the references at early times.

    Args:
        images: of the class.
        references: with their masks.
        latest: factor of the references' times.
    """
    ours, theirs = len(images), sum(item.weight for item in references)
    common = math.gcd(ours, theirs)
    out = [replace(i, mask=torch.zeros_like(i.latents[:, :1]), weight=theirs // common) for i in images]
    for item in references:
        told = replace(item.texts, target=item.texts.complete)
        out.append(replace(item, texts=told, latest=latest, weight=item.weight * ours // common))
    return tuple(out)
