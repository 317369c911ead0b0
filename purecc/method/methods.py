"""The methods by the names that users choose from. A new method is a recipe in a file of its own and an entry here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .anchored import AnchoredLearning
from .baselines import OutputPreservation, PriorPreservation
from .pure_learning import ConceptCustomisation, Origin, PureLearning
from .recipe import Recipe
from .two_stages import ClassImageLearning


@dataclass(frozen=True)
class MethodOptions:
    """Options of a method that users choose; each method reads those it uses.

    Attributes:
        eta: η of pure learning (15), and the weight of what a baseline preserves.
        scale: λ; None is λ* (12).
        v_original: see `PureLearning`.
        anchor_weight: m of `AnchoredLearning`.
        mask: whether anchored learning is confined to the masks.
    """

    eta: float = 1.0
    scale: float | None = None
    v_original: Origin = "theta2"
    anchor_weight: float = 1.0
    mask: bool = True


PAPER, ANCHORED, CLASS_IMAGES = "PureCC (paper)", "anchored", "PureCC (class images)"

Methods = dict[str, Callable[[MethodOptions], Recipe]]

METHODS: Methods = {
    ANCHORED: lambda o: AnchoredLearning(o.anchor_weight, o.mask),
    CLASS_IMAGES: lambda o: ClassImageLearning(o.anchor_weight, below=0.5),
    PAPER: lambda o: PureLearning(o.eta, o.scale, o.v_original),
    "LoRA": lambda o: ConceptCustomisation(),
    "prior preservation": lambda o: PriorPreservation(o.eta),
    "DOP": lambda o: OutputPreservation("base", o.eta),
    "BPP": lambda o: OutputPreservation("empty", o.eta),
}

EXTRACTORS: Methods = {
    PAPER: lambda o: ConceptCustomisation(),
    ANCHORED: METHODS[ANCHORED],
}
"""The methods of stage 1."""
