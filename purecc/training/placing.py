"""Say where the concept stands in each reference, and move references that all show it at one place.

Whatever all references share is learned with the concept, and a place is no exception. A mask tells where the concept
is, so that the caption can say it: the place is then the word's. Where all references share one place the word alone
teaches nothing, so they are moved: latents and mask are shifted together by whole patches of the network, what comes in
repeats the edge and lies outside the mask, and the caption says the new place. No image is generated for it. One of
left, middle and right that no reference shows is shown by moved ones, in a quarter of the samples: asked for it, the
model may else draw the concept at both of the others.

Between whole patches every detail would be learned again, and without the word the model draws the concept at several
places at once (both measured).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..text.places import LEFT, MIDDLE, PLACES, RIGHT, texts_at
from ..text.texts import ConceptTexts
from .dataset import ConceptItem

OFF, SAY, AUTO, MOVE = "off", "say", "auto", "move"
CHOICES = (OFF, SAY, AUTO, MOVE)
"""Nothing; say the place; say it and move references that share one, or also show places that none shows; say it and
move all."""
WITHIN = 0.1
"""Distance of the centres from their mean, in sides of the image, up to which references share a place."""
RANGES = {LEFT: (0.22, 0.38), MIDDLE: (0.44, 0.56), RIGHT: (0.62, 0.78)}
"""Where the centre of the concept is put, in sides of the image."""
VERSIONS = 8
"""Of a reference that is moved."""
ELSEWHERE = 0.25
"""Share of the samples at places that no reference shows."""
CUT = 0.5
"""A concept that is higher at a side of the frame than this part of its greatest height is taken to be cut off there.
Masks reach further than things."""
INSIDE = 0.5
"""Of a mask: what is the concept."""
MOST = 0.5
"""Share of an image that the mask may cover; a larger thing has no place of its own."""


@dataclass(frozen=True)
class Placed:
    """References with their places said.

    Attributes:
        versions: what training samples, for each reference.
        said: number of references whose caption was changed to say the place.
        moved: those of the versions that stand elsewhere than the reference, for each that was moved.
    """

    versions: tuple[tuple[ConceptItem, ...], ...]
    said: int = 0
    moved: tuple[tuple[ConceptItem, ...], ...] = ()

    @property
    def items(self) -> tuple[ConceptItem, ...]:
        """All versions."""
        return tuple(item for versions in self.versions for item in versions)


def every_text(texts: ConceptTexts) -> list[ConceptTexts]:
    """Return the texts of a reference at every place, without those that cannot be said."""
    return [placed for place in PLACES if (placed := texts_at(texts, place)) is not None]


def place_references(items: Sequence[ConceptItem], choice: str, patch: int, seed: int) -> Placed:
    """Return the references as a choice has them.

    A reference stays as it is without a mask, with a mask over more than half of it, or if its caption cannot say the
    place. One that the frame cuts off at a side says its place and is not moved.

    Args:
        items: the references, with masks.
        choice: one of `CHOICES`.
        patch: latents along a side that the network takes together.
        seed: of the places.
    """
    if choice == OFF:
        return Placed(tuple((item,) for item in items))
    generator = torch.Generator().manual_seed(seed)
    everywhere = choice == MOVE or (choice == AUTO and share_a_place(items))
    places = PLACES if everywhere else unseen(items) if choice == AUTO else ()
    rounds = VERSIONS if everywhere else round(VERSIONS / ELSEWHERE) if places else 1
    versions, moved = [], []
    for number, item in enumerate(items):
        made = _versions(item, places, number, patch, generator) if places and _is_free(item) else ()
        own = [] if everywhere and made else _said(item)
        rest = item.weight * (len(item.latents) * rounds - len(made))  # so each reference is sampled as often as before
        versions.append((*(replace(m, weight=rest // len(own)) for m in own), *made))
        moved += [made] * bool(made)
    said = sum(any(m.texts != item.texts for m in made) for item, made in zip(items, versions, strict=True))
    return Placed(tuple(versions), said, tuple(moved))


def share_a_place(items: Sequence[ConceptItem]) -> bool:
    """Return whether the centres of all masks are side by side; False where a reference has none."""
    if not all(map(_has_a_place, items)):
        return False
    centres = torch.tensor([_centre(mask) for i in items if i.mask is not None for mask in i.mask])
    return bool((centres - centres.mean()).abs().max() <= WITHIN)


def unseen(items: Sequence[ConceptItem]) -> tuple[str, ...]:
    """Return the places that no reference shows; none where a reference has no place."""
    if not all(map(_has_a_place, items)):
        return ()
    seen = {_named(_centre(mask)) for item in items if item.mask is not None for mask in item.mask}
    return tuple(place for place in PLACES if place not in seen)


def _has_a_place(item: ConceptItem) -> bool:
    if item.mask is None:
        return False
    share = (item.mask > INSIDE).float().mean((1, 2, 3))
    return bool(((share > 0) & (share <= MOST)).all())


def _is_free(item: ConceptItem) -> bool:
    """Return whether a reference can be moved: it has a place to be told, and the frame cuts nothing off."""
    if not _has_a_place(item) or len(every_text(item.texts)) < len(PLACES):
        return False
    assert item.mask is not None
    height = (item.mask > INSIDE).sum(-2)
    return bool((height[..., [0, -1]].amax(-1) <= CUT * height.amax(-1)).all())


def _centre(mask: Tensor) -> float:
    """Return the horizontal centre of the concept in a mask [1, H, W], in sides of the image."""
    weights = (mask > INSIDE).float().sum((0, 1))
    width = len(weights)
    return float((weights * (torch.arange(width) + 0.5)).sum() / weights.sum()) / width


def _named(centre: float) -> str:
    return min(RANGES, key=lambda place: abs(sum(RANGES[place]) / 2 - centre))


def _said(item: ConceptItem) -> list[ConceptItem]:
    """Return a reference, or each of its variants, with its place in the caption."""
    if not _has_a_place(item):
        return [item]
    assert item.mask is not None
    found = [texts_at(item.texts, _named(_centre(mask))) for mask in item.mask]
    texts = [t for t in found if t is not None]
    if len(texts) < len(found):
        return [item]
    if all(t == texts[0] for t in texts):
        return [replace(item, texts=texts[0])]
    return [
        replace(item, latents=latents[None], mask=mask[None], texts=t)
        for latents, mask, t in zip(item.latents, item.mask, texts, strict=True)
    ]


def _versions(
    item: ConceptItem, places: Sequence[str], number: int, patch: int, generator: torch.Generator
) -> tuple[ConceptItem, ...]:
    """Return `VERSIONS` of every variant of a reference, in turn at each place; the first place differs by number.

    One that whole patches or the frame keep from all these places is left out.
    """
    assert item.mask is not None
    out = []
    images = item.images if len(item.images) == len(item.latents) else (item.image,) * len(item.latents)
    for latents, mask, image in zip(item.latents, item.mask, images, strict=True):
        own = replace(item, latents=latents[None], mask=mask[None], image=image, others=())
        columns = (mask > INSIDE).flatten(0, 1).any(0).nonzero()[:, 0]
        width, centre = mask.shape[-1], _centre(mask)
        for k in range(VERSIONS):
            low, high = RANGES[places[(number + k) % len(places)]]
            aim = low + (high - low) * float(torch.rand(1, generator=generator))
            steps = round((aim - centre) * width / patch)
            least, most = -(int(columns[0]) // patch), (width - 1 - int(columns[-1])) // patch
            by = patch * max(least, min(most, steps))
            place = _named(centre + by / width)
            if place in places:
                texts = texts_at(item.texts, place)
                assert texts is not None
                out.append(_moved(replace(own, texts=texts), by))
    return tuple(out)


def _moved(item: ConceptItem, by: int) -> ConceptItem:
    """Return a reference moved by so many latents to the right."""
    assert item.mask is not None
    width = item.latents.shape[-1]
    source = torch.arange(width) - by
    known = (source >= 0) & (source < width)
    source = source.clamp(0, width - 1)
    columns = item.image.shape[1]
    pixels = (torch.arange(columns) - by * columns // width).clamp(0, columns - 1)
    return replace(
        item, latents=item.latents[..., source], mask=item.mask[..., source] * known, image=item.image[:, pixels]
    )
