"""Find references of which the wrong thing was left out, beside a companion, by the colours of the others.

In one reference the base's evidence can point the wrong way. The concept has the same colours in all, and so has what
stands beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .colours import Coloured, alike


def wrong_way_round(pictures: Sequence[Tensor], before: Sequence[Tensor], after: Sequence[Tensor]) -> list[bool]:
    """Return for each reference whether what was left out has the colours of what the others keep, and the reverse.

    The one that disagrees most is turned round first, and then all are asked again; fewer than half are.

    Args:
        pictures: [h, w, 3] each, in [0, 1].
        before: masks of both things, [H, W] each.
        after: the same without what was left out.
    """
    parts = [_parts(*given) for given in zip(pictures, before, after, strict=True)]
    out = [False] * len(parts)
    for _ in range((len(parts) - 1) // 2):
        gains = [_gain(parts, k) for k in range(len(parts))]
        most = max(range(len(parts)), key=gains.__getitem__)
        if gains[most] <= 0 or out[most]:
            break
        out[most], parts[most] = True, parts[most][::-1]
    return out


def _gain(parts: Sequence[tuple[Tensor, Tensor]], k: int) -> float:
    """Return how much more reference k would be like the others if it were turned round."""
    kept, left = parts[k]
    others = [part for j, part in enumerate(parts) if j != k]
    kept_there, left_there = (torch.stack(part).mean(0) for part in zip(*others, strict=True))
    return alike(kept, left_there) + alike(left, kept_there) - alike(kept, kept_there) - alike(left, left_there)


def _parts(picture: Tensor, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    """Return how much more frequent each colour is in what is kept, and in what is left out, than around both."""
    colours = Coloured.of(picture)
    both, kept = colours.enlarged(before), colours.enlarged(after)
    around = colours.histogram(1 - both)
    kept, left = (colours.histogram(part) for part in (kept, (both - kept).clamp_min(0)))
    return (kept - around).clamp_min(0), (left - around).clamp_min(0)
