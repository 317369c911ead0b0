"""Images of the class that the base model generates, for a recipe that learns on them and sees no reference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch

from ..text.texts import ConceptTexts, parse_caption
from .dataset import ConceptDataset, ConceptItem

ClassCaption = tuple[str, str]
"""Two captions of one image, with [v]: all that it shows, and what the learner is told of it."""


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
