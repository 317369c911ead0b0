"""Make references smaller in which the concept is larger than the base model draws its class.

A model draws a class at sizes of its own. A concept that it is shown larger comes out as a near-miss or in pieces when
it is drawn as large as the class, and smaller copies beside the references do not help (both measured). So the whole
reference is made smaller within its frame, until its mask is as large as the place of the class in images that the base
draws. The image's edges are repeated around it; they lie outside the mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

import torch
from torch import Tensor
from torch.nn import functional as F

from ..method.maps import blur, threshold
from ..method.recipe import BASE
from .branched_model import BranchedModel
from .concept_masks import SAMPLES, difference, noised
from .dataset import ConceptItem

FIT, KEEP = "fit", "keep"
CHOICES = (FIT, KEEP)
"""Make references smaller that show the concept larger than usual; leave them as they are."""
FILLS = 0.3
"""Share of the image that the masks cover in the median, from which the class's usual size is looked for."""
LARGER = 1.12
"""Size of the masks in the median, in parts of the usual one, from which references are made smaller."""
SMALLEST = 0.5
"""Least factor."""
TIGHT = 0.87
"""Size of a thing in parts of that of the evidence for it, which reaches beyond it (measured on found masks before and
after they were sharpened)."""
IMAGES = 8
"""Of the base, in which it is looked for."""


def size_of(mask: Tensor) -> float:
    """Return the side of a square as large as a mask [..., H, W], in sides of the image."""
    return float(mask.mean()) ** 0.5


@torch.no_grad()
def class_size(branched: BranchedModel, latents: Tensor, prompt: str, limit: int | None = SAMPLES) -> float:
    """Return how large the class is in an image of the base, by the size of where its prompt changes the velocity.

    Args:
        branched: the model; the conditioner knows the prompt and the empty text.
        latents: of the image that the base drew by this prompt, [1, C, H, W], in the model's space.
        prompt: the class word in a sentence.
        limit: the most samples in one pass.
    """
    ((x_t, t, _),) = noised(latents, 0, branched.field.device)
    named, empty = (branched.run(BASE, x_t, t, [text] * len(t), limit) for text in (prompt, ""))
    return TIGHT * size_of(threshold(blur(difference(named, empty))))


def may_be_large(masks: Sequence[Tensor]) -> bool:
    """Return whether the masks cover so much of their images that their size has to be compared with the usual one."""
    return bool(masks) and median(size_of(mask) for mask in masks) ** 2 >= FILLS


def factors(masks: Sequence[Tensor], usual: float) -> list[float]:
    """Return the factor of every reference; 1: it stays.

    Args:
        masks: of the references, [1, H, W] each.
        usual: size of the class, the median of what `class_size` gives.
    """
    sizes = [size_of(mask) for mask in masks]
    if median(sizes) < LARGER * usual:
        return [1.0] * len(sizes)
    return [min(1.0, max(SMALLEST, usual / own)) for own in sizes]


def made_smaller(item: ConceptItem, factor: float) -> ConceptItem:
    """Return a reference with its mask, both made smaller; one that has no picture, or fits, as it is.

    Args:
        item: with a mask.
        factor: of its sides.
    """
    if item.shrink is None or item.mask is None or factor == 1:
        return item
    latents, (image, *others) = item.shrink(factor)
    grey = F.interpolate(item.mask, image.shape[:2], mode="nearest").movedim(1, -1)
    height, width = item.mask.shape[-2:]
    mask = F.adaptive_avg_pool2d(shrunk(grey, factor, repeat=False).movedim(-1, 1), (height, width))
    return replace(item, latents=latents, image=image, mask=mask, shrink=None, others=tuple(others))


def shrunk(pictures: Tensor, factor: float, repeat: bool = True) -> Tensor:
    """Return pictures made smaller in the middle of their frame.

    Args:
        pictures: [V, h, w, C].
        factor: of their sides.
        repeat: whether the edges are repeated around them; else there is 0.
    """
    frame = pictures.shape[1:3]
    sides = [max(1, round(factor * side)) for side in frame]
    small = F.interpolate(pictures.movedim(-1, 1), sides, mode="bicubic", antialias=True).clamp(0, 1)
    for axis, (side, own) in enumerate(zip(frame, sides, strict=True), start=2):
        at = torch.arange(side) - (side - own) // 2
        small = small.index_select(axis, at.clamp(0, own - 1).to(small.device))
        if not repeat:
            inside = ((at >= 0) & (at < own)).to(small)
            small = small * inside.view([-1 if k == axis else 1 for k in range(4)])
    return small.movedim(1, -1)
