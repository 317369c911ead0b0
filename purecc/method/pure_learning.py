"""The two stages of PureCC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from . import objective
from .recipe import BASE, COMPLETE, EXTRACTOR, LEARNER, Pass, Recipe, Samples, Terms

Origin = Literal["theta2", "theta2 stop-gradient", "base"]
Direction = Literal["theta1", "theta2", "base"]


@dataclass(frozen=True)
class ConceptCustomisation(Recipe):
    """L_CC (3) alone: stage 1, and plain LoRA."""

    @property
    def passes(self) -> tuple[Pass, ...]:
        """The complete text only."""
        return (COMPLETE,)

    def terms(self, v: Mapping[Pass, Tensor], references: Samples, pool: Samples | None) -> Terms:
        """Return L_CC."""
        loss = objective.concept_loss(v[COMPLETE], references.target)
        return Terms(loss, {"concept": loss.detach()})


@dataclass(frozen=True)
class PureLearning(Recipe):
    """L_PCC = L_CC + η L_PureCC (15).

    Attributes:
        eta: η.
        scale: λ; None is the adaptive λ* (12).
        v_original: (9), and the second term of (10): from θ2 as in the paper, from θ2 with stop-gradient, or from
            the untouched base, to which the paper's own objective has no tie.
        direction: whose R(y_tar) is used: θ1's; the plain base's, as in the released code; or θ2's own, held fixed,
            which trains both stages as one.
    """

    eta: float = 1.0
    scale: float | None = None
    v_original: Origin = "theta2"
    direction: Direction = "theta1"

    @property
    def _original(self) -> Pass:
        if self.v_original == "base":
            return Pass(BASE, "base")
        return Pass(LEARNER, "base", grad=self.v_original == "theta2")

    @property
    def _direction(self) -> tuple[Pass, Pass]:
        branch = {"theta1": EXTRACTOR, "theta2": LEARNER, "base": BASE}[self.direction]
        return Pass(branch, "target"), Pass(branch, "empty")

    @property
    def passes(self) -> tuple[Pass, ...]:
        """Complete and original on the learner (or base), target and empty on the extractor."""
        return (COMPLETE, self._original, *self._direction)

    def terms(self, v: Mapping[Pass, Tensor], references: Samples, pool: Samples | None) -> Terms:
        """Return L_CC, L_PureCC, λ and the cosine of R(y_complete, y_base) and R(y_tar)."""
        complete, original = v[COMPLETE], v[self._original]
        r_tar = objective.concept_direction(*(v[p] for p in self._direction))
        r_complete = objective.residual(complete, original)
        if self.scale is None:
            scale = objective.adaptive_scale(r_complete, r_tar).detach()
        else:
            scale = r_tar.new_full((len(r_tar),), self.scale)
        concept = objective.concept_loss(complete, references.target)
        pure = objective.pure_learning_loss(complete, original, scale, r_tar)
        return Terms(
            objective.total_loss(concept, pure, self.eta),
            {
                "concept": concept.detach(),
                "pure": pure.detach(),
                "lambda": scale.detach(),
                "cosine": objective.cosine(r_complete, r_tar).detach(),
            },
        )
