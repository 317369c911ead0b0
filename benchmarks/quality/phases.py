"""Say which methods a phase of the benchmark compares, and on which sets."""

from __future__ import annotations

from dataclasses import dataclass

from concepts import CLAIM, INDIVIDUALS, NEAR, PHOTOGRAPHED, STAGES, UNSEEN
from methods import CLAIMED, MOVING, NAMING, PLACED, RECLAIMED, RIVALS, SIZED, STAGED


@dataclass(frozen=True)
class Compared:
    """Methods side by side on the same sets.

    Attributes:
        methods: their short names.
        sets: their names.
        whole_curve: whether they are measured on the way, too.
    """

    methods: tuple[str, ...]
    sets: tuple[str, ...]
    whole_curve: bool = True


COMPARED = {
    "claim": Compared(CLAIMED, CLAIM),
    "unseen": Compared(RIVALS, UNSEEN),
    "second-claim": Compared(RECLAIMED, (*PHOTOGRAPHED, *(c for c in CLAIM if c in INDIVIDUALS))),
    "places": Compared(PLACED, INDIVIDUALS, False),
    "stages": Compared(STAGED, STAGES, False),
    "sizes": Compared(SIZED, NEAR, False),
    "named": Compared(NAMING, ("boat-3",), False),
    "moves": Compared(MOVING, ("house", "tree-2", "fish-2", "car-3"), False),
}
"""By phase. Search and ablations have every method, on the development sets."""
