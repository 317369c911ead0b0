"""A concept dataset: the references' latents with their texts, and random batches of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..text.concept import Concept
from ..text.texts import ConceptTexts

Shrink = Callable[[float], tuple[Tensor, tuple[Tensor, ...]]]
"""From a factor to the latents [V, C, H, W] and V images [h, w, 3] of a picture made smaller within its frame."""


@dataclass(frozen=True)
class ConceptItem:
    """One reference.

    Attributes:
        latents: [V, C, H, W], V variants (crops, flips) of the image, as the VAE gives them.
        texts: its complete, base and target text.
        image: [h, w, 3] in [0, 1], the first variant.
        mask: where the concept is, or in a drawn image may be, [V, 1, H, W] in [0, 1]; None: not known.
        weight: how often it is sampled for each time that one of weight 1 is.
        latest: factor of the times at which it is noised; below 1, much noise is left out.
        shrink: makes it smaller within its frame; None: there is no picture to do so with.
        drawn: whether the base drew it, so that it is no image to be learned as it is.
        others: [h, w, 3] each, the other variants; empty where no image of them is known.
    """

    latents: Tensor
    texts: ConceptTexts
    image: Tensor
    mask: Tensor | None = None
    weight: int = 1
    latest: float = 1.0
    shrink: Shrink | None = None
    drawn: bool = False
    others: tuple[Tensor, ...] = ()

    @property
    def images(self) -> tuple[Tensor, ...]:
        """Every variant, [h, w, 3] each; the first alone where no image of the others is known."""
        return (self.image, *self.others)


@dataclass(frozen=True)
class ConceptDataset:
    """The references of one concept, as they were listed.

    Attributes:
        items: at least one.
        concept: the concept.
    """

    items: tuple[ConceptItem, ...]
    concept: Concept

    def __post_init__(self) -> None:
        if not self.items:
            raise ValueError("The dataset is empty: connect at least one reference image.")

    @property
    def class_word(self) -> str:
        """The concept's class word."""
        return self.concept.class_word

    @property
    def kind(self) -> str:
        """The concept's kind, "instance" or "style"."""
        return self.concept.kind

    @property
    def lacks_masks(self) -> bool:
        """Whether an image has no mask and can have one: a style is everywhere and needs none."""
        return self.kind == "instance" and any(i.mask is None for i in self.items)

    @property
    def will_have_masks(self) -> bool:
        """Whether an image has a mask once those that are lacking are found."""
        return self.lacks_masks or any(i.mask is not None for i in self.items)

    @property
    def number(self) -> int:
        """A number that depends on the images and captions, and not on the order in which they were listed."""
        every = "".join(sorted(map(_fingerprint, self.items)))
        return int.from_bytes(hashlib.sha256(every.encode()).digest()[:8], "big")

    def by_content(self) -> ConceptDataset:
        """Return the same references in an order that does not depend on how they were listed."""
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
        latest: factors of their times, [B].
        drawn: whether the base drew each, [B].
    """

    x0: Tensor
    texts: tuple[ConceptTexts, ...]
    mask: Tensor
    latest: Tensor
    drawn: Tensor


class Batches(Iterator[Batch]):
    """Random batches without end.

    Within a bucket of equal shape every item is sampled as often as its weight says before any is sampled again.

    Args:
        items: the references.
        size: samples a batch.
        generator: on the CPU.
    """

    def __init__(self, items: Sequence[ConceptItem], size: int, generator: torch.Generator):
        buckets: dict[tuple, list[int]] = {}
        for i, item in enumerate(items):
            buckets.setdefault(tuple(item.latents.shape[1:]), []).extend([i] * item.weight)
        self._items, self._size, self._generator = items, size, generator
        self._members = list(buckets.values())
        self._weights = torch.tensor([float(len(b)) for b in self._members])
        self._waiting: list[list[int]] = [[] for _ in self._members]

    def __next__(self) -> Batch:
        """Return the next batch."""
        bucket = int(torch.multinomial(self._weights, 1, generator=self._generator))
        queue, members = self._waiting[bucket], self._members[bucket]
        while len(queue) < self._size:
            order = torch.randperm(len(members), generator=self._generator)
            queue.extend(members[int(k)] for k in order)
        batch = [self._items[i] for i in queue[: self._size]]
        self._waiting[bucket] = queue[self._size :]
        chosen = [(i, int(torch.randint(len(i.latents), (1,), generator=self._generator))) for i in batch]
        return Batch(
            torch.stack([i.latents[k] for i, k in chosen]),
            tuple(i.texts for i, _ in chosen),
            torch.stack([torch.ones_like(i.latents[k, :1]) if i.mask is None else i.mask[k] for i, k in chosen]),
            torch.tensor([i.latest for i in batch]),
            torch.tensor([i.drawn for i in batch]),
        )

    def queues(self) -> list[list[int]]:
        """Return, for each bucket, the numbers of the items still to come."""
        return [list(queue) for queue in self._waiting]

    def restore(self, queues: Sequence[Sequence[int]]) -> None:
        """Continue with these queues.

        Raises:
            ValueError: they are of other items.
        """
        fits = len(queues) == len(self._members)
        if not fits or any(set(q) - set(m) for q, m in zip(queues, self._members, strict=True)):
            raise ValueError("The state is of other images than these.")
        self._waiting = [list(queue) for queue in queues]
