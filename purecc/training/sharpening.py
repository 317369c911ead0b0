"""Let found masks end where the thing ends, by the colours of the references.

The base tells which thing is the concept, but its evidence is as coarse as the latents and reaches beyond the thing.
Colours tell where it ends: each place is asked whether its colour is more frequent in the concept, over all references,
or in what lies around it in this picture, and both are counted anew with the answers (the colour models of GrabCut,
Rother et al. 2004, as histograms and without its graph cut). Where the two have the same colours, the mask stays.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from .colours import Coloured

ROUNDS = 4
TRUST = 2.0
"""Weight of what the colours say beside what the mask says."""
CLEAREST = 3.0
"""The most that one colour can say, as a log ratio of frequencies."""
SURE = 0.97
"""The most that the mask says; nothing can be further in or out."""
SHARED = 0.7
"""Weight of all references' concept beside that of the picture's own."""
RARE = 1e-4
"""A frequency below which colours say little."""
OUTSIDE = 0.02
"""Of a mask: what is surely not the concept."""
LEFT = 1 / 3
"""Share of a mask that stays at least: else colours cannot tell the concept from what is around it."""


def sharpened(pictures: Sequence[Tensor], masks: Sequence[Tensor]) -> list[Tensor]:
    """Return masks that end where the colours of the concept end.

    Args:
        pictures: of one concept, [h, w, 3] each, in [0, 1].
        masks: of each, [H, W] in [0, 1].

    Returns:
        For each of them [H, W] in [0, 1].
    """
    if not pictures:
        return []
    seen = [Coloured.of(picture) for picture in pictures]
    before = [colours.enlarged(mask) for colours, mask in zip(seen, masks, strict=True)]
    inside = before
    for _ in range(ROUNDS):
        own = [colours.histogram(p) for colours, p in zip(seen, inside, strict=True)]
        common = torch.stack(own).sort(0).values.mean(0)  # the order of the references changes nothing
        inside = [
            _inside(colours, mask, SHARED * common + (1 - SHARED) * mine, colours.histogram(1 - p))
            for colours, mask, mine, p in zip(seen, before, own, inside, strict=True)
        ]
    found = [
        F.adaptive_avg_pool2d(p[None], (m.shape[0], m.shape[1]))[0].to(m) for p, m in zip(inside, masks, strict=True)
    ]
    return [new if new.sum() >= LEFT * old.sum() else old for new, old in zip(found, masks, strict=True)]


def _inside(colours: Coloured, mask: Tensor, concept: Tensor, around: Tensor) -> Tensor:
    """Return how sure each place is to be of the concept, [h, w], from two histograms and the mask at that size."""
    ratio = ((concept + RARE) / (around + RARE)).log().clamp(-CLEAREST, CLEAREST)[colours.bins]
    said = torch.logit(mask.clamp(1 - SURE, SURE))
    return torch.sigmoid(TRUST * ratio + said) * (mask >= OUTSIDE)
