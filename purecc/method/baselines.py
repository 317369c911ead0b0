"""Other methods that preserve the base: prior preservation, DOP and BPP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from . import objective
from .recipe import BASE, COMPLETE, LEARNER, Pass, Recipe, Samples, Terms


@dataclass(frozen=True)
class OutputPreservation(Recipe):
    """L_CC + m · MSE(v_θ(x_t, y), v_base(x_t, y)) at the references' x_t: DOP with y_base, BPP with the empty prompt.

    Attributes:
        text: "base" (differential output preservation) or "empty" (blank prompt preservation).
        weight: m.
    """

    text: Literal["base", "empty"] = "base"
    weight: float = 1.0

    @property
    def passes(self) -> tuple[Pass, ...]:
        """Complete, and the preserved text on the learner and on the base."""
        return (COMPLETE, Pass(LEARNER, self.text, grad=True), Pass(BASE, self.text))

    def terms(self, v: Mapping[Pass, Tensor], references: Samples, pool: Samples | None) -> Terms:
        """Return L_CC and the preservation term."""
        concept = objective.concept_loss(v[COMPLETE], references.target)
        kept = objective.concept_loss(v[Pass(LEARNER, self.text, grad=True)], v[Pass(BASE, self.text)])
        return Terms(concept + self.weight * kept, {"concept": concept.detach(), "preservation": kept.detach()})


@dataclass(frozen=True)
class PriorPreservation(Recipe):
    """L_CC + w · L_CC on images of the class that the base generated, with the class text.

    Attributes:
        weight: w.
    """

    weight: float = 1.0

    @property
    def passes(self) -> tuple[Pass, ...]:
        """Complete, and the pool."""
        return (COMPLETE, Pass(LEARNER, "pool", grad=True))

    def terms(self, v: Mapping[Pass, Tensor], references: Samples, pool: Samples | None) -> Terms:
        """Return L_CC and the pool's."""
        assert pool is not None, "the loop samples a pool for a recipe with a pass on it"
        concept = objective.concept_loss(v[COMPLETE], references.target)
        prior = objective.concept_loss(v[Pass(LEARNER, "pool", grad=True)], pool.target)
        return Terms(concept + self.weight * prior, {"concept": concept.detach(), "prior": prior.detach()})
