"""A concept dataset: the references' latents with their texts, and the batches drawn from it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .texts import ConceptTexts


@dataclass(frozen=True)
class ConceptItem:
    """One reference.

    Attributes:
        latents: [V, C, H, W], V variants (crops, flips) of the picture, as the VAE gives them.
        texts: its complete, base and target text.
        image: [h, w, 3] in [0, 1], the picture as it is trained on, for the eye.
        mask: where the concept is, [V, 1, H, W] in [0, 1]; None: not known.
    """

    latents: Tensor
    texts: ConceptTexts
    image: Tensor
    mask: Tensor | None = None


@dataclass(frozen=True)
class ConceptDataset:
    """The references of one concept, as they were listed.

    Attributes:
        items: at least one.
        class_word: what the concept is an instance of ("robot"), or the word for a style.
        kind: "instance" or "style".
    """

    items: tuple[ConceptItem, ...]
    class_word: str
    kind: str

    def __post_init__(self) -> None:
        if not self.items:
            raise ValueError("The dataset is empty: connect at least one reference image.")

    def by_content(self) -> ConceptDataset:
        """The same references in an order that does not depend on how they were listed."""
        return replace(self, items=tuple(sorted(self.items, key=_fingerprint)))


def _fingerprint(item: ConceptItem) -> str:
    digest = hashlib.sha256(item.texts.complete.encode())
    digest.update(item.latents.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class Batch:
    """Samples of a step.

    Attributes:
        x0: [B, C, H, W].
        texts: B of them.
        mask: [B, 1, H, W], 1 where an item has none.
    """

    x0: Tensor
    texts: tuple[ConceptTexts, ...]
    mask: Tensor


def batches(items: Sequence[ConceptItem], size: int, generator: torch.Generator) -> Iterator[Batch]:
    """Batches without end; every item is drawn once before any is drawn again, within its bucket of like shape.

    Args:
        items: the references.
        size: samples a batch.
        generator: CPU generator that decides.
    """
    buckets: dict[tuple, list[int]] = {}
    for i, item in enumerate(items):
        buckets.setdefault(tuple(item.latents.shape[1:]), []).append(i)
    members = list(buckets.values())
    weights = torch.tensor([float(len(b)) for b in members])
    waiting: list[list[int]] = [[] for _ in members]
    while True:
        bucket = int(torch.multinomial(weights, 1, generator=generator))
        queue = waiting[bucket]
        while len(queue) < size:
            order = torch.randperm(len(members[bucket]), generator=generator)
            queue.extend(members[bucket][int(k)] for k in order)
        drawn = [items[i] for i in queue[:size]]
        waiting[bucket] = queue[size:]
        chosen = [(d, int(torch.randint(len(d.latents), (1,), generator=generator))) for d in drawn]
        yield Batch(
            torch.stack([d.latents[k] for d, k in chosen]),
            tuple(d.texts for d in drawn),
            torch.stack([torch.ones_like(d.latents[k, :1]) if d.mask is None else d.mask[k] for d, k in chosen]),
        )
