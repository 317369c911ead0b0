"""What makes one training method differ from another: which passes a step runs, and which loss they make.

A recipe is a value with two members: `passes`, the velocities it needs, and `terms`, which turns them into losses.
All recipes run in the one loop of `training`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

from torch import Tensor

from . import objective

LEARNER = "learner"
EXTRACTOR = "extractor"
BASE = None

Text = Literal["complete", "base", "target", "empty", "prior"]
Origin = Literal["theta2", "theta2 stop-gradient", "base"]


@dataclass(frozen=True)
class Pass:
    """One velocity of a step.

    Attributes:
        branch: LEARNER (θ2, or θ1 while stage 1 trains it), EXTRACTOR (θ1, frozen), or BASE (both off).
        text: which text of the sample conditions it; "prior" is the class text, on the prior samples' own x_t.
        grad: whether gradients flow through it.
    """

    branch: str | None
    text: Text
    grad: bool = False


@dataclass(frozen=True)
class Terms:
    """Losses of a step, each [B].

    Attributes:
        total: what is minimised, in the mean over the batch.
        parts: its parts and diagnostics by name, detached.
    """

    total: Tensor
    parts: dict[str, Tensor] = field(default_factory=dict)


class Recipe(Protocol):
    """A training method."""

    @property
    def passes(self) -> tuple[Pass, ...]:
        """The velocities that `terms` needs."""
        ...

    def terms(self, v: Mapping[Pass, Tensor], target: Tensor, prior_target: Tensor | None) -> Terms:
        """The losses.

        Args:
            v: [B, C, H, W] for every pass.
            target: x1 - x0 of the references (2).
            prior_target: the same of the prior samples, where a pass asks for "prior".
        """
        ...


COMPLETE = Pass(LEARNER, "complete", grad=True)


@dataclass(frozen=True)
class ConceptCustomisation:
    """L_CC (3) alone: stage 1, and plain LoRA."""

    @property
    def passes(self) -> tuple[Pass, ...]:
        """The complete text only."""
        return (COMPLETE,)

    def terms(self, v: Mapping[Pass, Tensor], target: Tensor, prior_target: Tensor | None) -> Terms:
        """L_CC."""
        loss = objective.concept_loss(v[COMPLETE], target)
        return Terms(loss, {"concept": loss.detach()})


@dataclass(frozen=True)
class PureLearning:
    """L_PCC = L_CC + η L_PureCC (15).

    Attributes:
        eta: η.
        scale: λ; None is the adaptive λ* (12).
        v_original: (9), and the second term of (10): from θ2 as in the paper, from θ2 with stop-gradient, or from
            the untouched base, to which the paper's own objective has no tie.
        extractor: whether θ1's LoRA takes part in R(y_tar); off only to repeat the released code's variant.
    """

    eta: float = 1.0
    scale: float | None = None
    v_original: Origin = "theta2"
    extractor: bool = True

    @property
    def _original(self) -> Pass:
        if self.v_original == "base":
            return Pass(BASE, "base")
        return Pass(LEARNER, "base", grad=self.v_original == "theta2")

    @property
    def _direction(self) -> tuple[Pass, Pass]:
        branch = EXTRACTOR if self.extractor else BASE
        return Pass(branch, "target"), Pass(branch, "empty")

    @property
    def passes(self) -> tuple[Pass, ...]:
        """Complete and original on the learner (or base), target and empty on the extractor."""
        return (COMPLETE, self._original, *self._direction)

    def terms(self, v: Mapping[Pass, Tensor], target: Tensor, prior_target: Tensor | None) -> Terms:
        """L_CC, L_PureCC, λ and the cosine of R(y_complete, y_base) and R(y_tar)."""
        complete, original = v[COMPLETE], v[self._original]
        r_tar = objective.concept_direction(*(v[p] for p in self._direction))
        r_complete = objective.residual(complete, original)
        if self.scale is None:
            scale = objective.adaptive_scale(r_complete, r_tar).detach()
        else:
            scale = r_tar.new_full((len(r_tar),), self.scale)
        concept = objective.concept_loss(complete, target)
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


@dataclass(frozen=True)
class OutputPreservation:
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

    def terms(self, v: Mapping[Pass, Tensor], target: Tensor, prior_target: Tensor | None) -> Terms:
        """L_CC and the preservation term."""
        concept = objective.concept_loss(v[COMPLETE], target)
        kept = objective.concept_loss(v[Pass(LEARNER, self.text, grad=True)], v[Pass(BASE, self.text)])
        return Terms(concept + self.weight * kept, {"concept": concept.detach(), "preservation": kept.detach()})


@dataclass(frozen=True)
class PriorPreservation:
    """L_CC + w · L_CC on images of the class that the base itself drew, with the class text.

    Attributes:
        weight: w.
    """

    weight: float = 1.0

    @property
    def passes(self) -> tuple[Pass, ...]:
        """Complete, and the class text on the prior samples."""
        return (COMPLETE, Pass(LEARNER, "prior", grad=True))

    def terms(self, v: Mapping[Pass, Tensor], target: Tensor, prior_target: Tensor | None) -> Terms:
        """L_CC and the prior's."""
        concept = objective.concept_loss(v[COMPLETE], target)
        prior = objective.concept_loss(v[Pass(LEARNER, "prior", grad=True)], prior_target)
        return Terms(concept + self.weight * prior, {"concept": concept.detach(), "prior": prior.detach()})


def describe(recipe: Recipe) -> dict[str, Any]:
    """A recipe as plain data, for a file's metadata."""
    return {"method": type(recipe).__name__, **asdict(recipe)}


def needs(recipe: Recipe, branch: str | None = EXTRACTOR, text: Text | None = None) -> bool:
    """Whether a recipe has a pass on that branch, or, with `text`, any pass on that text."""
    if text is not None:
        return any(p.text == text for p in recipe.passes)
    return any(p.branch == branch for p in recipe.passes)
