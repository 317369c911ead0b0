"""What makes one training method differ from another: which passes a step runs, and which loss they make.

A recipe is a value with two members: `passes`, the velocities it needs, and `terms`, which turns them into losses.
All recipes run in the one loop of `training`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

from torch import Tensor

from . import maps, objective
from .texts import ConceptTexts

LEARNER = "learner"
EXTRACTOR = "extractor"
BASE = None

Text = Literal["complete", "base", "target", "class", "empty", "pool", "anchor"]
Origin = Literal["theta2", "theta2 stop-gradient", "base"]
Direction = Literal["theta1", "theta2", "base"]


@dataclass(frozen=True)
class Pass:
    """One velocity of a step.

    Attributes:
        branch: LEARNER (θ2, or θ1 while stage 1 trains it), EXTRACTOR (θ1, frozen), or BASE (both off).
        text: which text of the reference conditions it; "class", the plainest prompt of its class; "pool", a picture of
            the pool with its own prompt; "anchor", a coin a sample between the reference with its base text and such a
            picture.
        grad: whether gradients flow through it.
    """

    branch: str | None
    text: Text
    grad: bool = False


@dataclass(frozen=True)
class Samples:
    """Noised pictures of a step.

    Attributes:
        texts: B of them.
        x_t: [B, C, H, W] (1).
        t: [B].
        target: x1 - x0 (2), [B, C, H, W].
        mask: where the concept is, [B, 1, H, W] in [0, 1]; 1 everywhere where nothing else is known.
    """

    texts: tuple[ConceptTexts, ...]
    x_t: Tensor
    t: Tensor
    target: Tensor
    mask: Tensor


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

    def terms(self, v: Mapping[Pass, Tensor], references: Samples, pool: Samples | None) -> Terms:
        """The losses.

        Args:
            v: [B, C, H, W] for every pass.
            references: what the passes were run on.
            pool: the same for the pool, where a pass asks for it.
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

    def terms(self, v: Mapping[Pass, Tensor], references: Samples, pool: Samples | None) -> Terms:
        """L_CC."""
        loss = objective.concept_loss(v[COMPLETE], references.target)
        return Terms(loss, {"concept": loss.detach()})


@dataclass(frozen=True)
class PureLearning:
    """L_PCC = L_CC + η L_PureCC (15).

    Attributes:
        eta: η.
        scale: λ; None is the adaptive λ* (12).
        v_original: (9), and the second term of (10): from θ2 as in the paper, from θ2 with stop-gradient, or from
            the untouched base, to which the paper's own objective has no tie.
        direction: whose R(y_tar) it is: θ1's; the plain base's, as in the released code; or θ2's own, held fixed, which
            is training both stages as one.
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
        """L_CC, L_PureCC, λ and the cosine of R(y_complete, y_base) and R(y_tar)."""
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

    def terms(self, v: Mapping[Pass, Tensor], references: Samples, pool: Samples | None) -> Terms:
        """L_CC and the preservation term."""
        concept = objective.concept_loss(v[COMPLETE], references.target)
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
        """Complete, and the pool."""
        return (COMPLETE, Pass(LEARNER, "pool", grad=True))

    def terms(self, v: Mapping[Pass, Tensor], references: Samples, pool: Samples | None) -> Terms:
        """L_CC and the pool's."""
        concept = objective.concept_loss(v[COMPLETE], references.target)
        prior = objective.concept_loss(v[Pass(LEARNER, "pool", grad=True)], pool.target)
        return Terms(concept + self.weight * prior, {"concept": concept.detach(), "prior": prior.detach()})


@dataclass(frozen=True)
class AnchoredLearning:
    """The concept is learned where it is; elsewhere, and wherever it is not asked for, the model is tied to the base.

    M ‖v_θ2(x_t | y_complete) − v_s‖² + F ‖v_θ2(x_t | y_complete) − v_b‖² + m ‖v_θ2(z | p) − v_base(z | p)‖²
    [+ η L_PureCC], in the mean over places, where v_b = v_base(x_t | y_base) is PureCC's v_original (9) from the
    untouched base, v_s = v_b + s (v − v_b), M is the mask of the concept in the reference, F = (1 − M)(1 − E), and
    (z, p) is, by a coin for each sample, (x_t, y_base) or a noised picture of the base's own with its prompt.

    E is where the base, at this x_t, still expects the class: where its class prompt makes a difference to none, and a
    little beyond. In much noise that is wide, since the base cannot know yet where the thing of this reference is.
    To hold the model to the base there would teach it to draw the base's own thing beside the concept.

    Guidance draws what the text adds to the empty prompt several times over. The base knows its own styles by sight,
    so that near the end the text adds little; of a new one it would have to learn that, and is held from it. So a
    style, which changes every place, is learned at half strength (`fitting`).

    Attributes:
        weight: m.
        masked: whether M is used; without it M = 1, and with s = 1 the first two terms are L_CC (3).
        replay: whether the anchor also holds pictures of the base's own; without them it is DOP's.
        eta: η of L_PureCC (14) with λ* and v_original from the base beside it; above 0 it needs an extractor.
        strength: s; None: what `fitting.fitted` gives, else 1.
    """

    weight: float = 1.0
    masked: bool = True
    replay: bool = True
    eta: float = 0.0
    strength: float | None = None

    @property
    def _anchor(self) -> Text:
        return "anchor" if self.replay else "base"

    @property
    def _strength(self) -> float:
        return 1.0 if self.strength is None else self.strength

    @property
    def passes(self) -> tuple[Pass, ...]:
        """Complete and the anchor on the learner; the anchor, base text, class and ∅ on the base; with η, θ1's two."""
        text = self._anchor
        passes = [COMPLETE, Pass(LEARNER, text, grad=True), Pass(BASE, text)]
        if self.masked:
            passes += [_ORIGINAL, *_EXPECTED]
        if self._strength != 1:
            passes.append(_ORIGINAL)
        if self.eta:
            passes += [_ORIGINAL, Pass(EXTRACTOR, "target"), Pass(EXTRACTOR, "empty")]
        return tuple(dict.fromkeys(passes))

    def terms(self, v: Mapping[Pass, Tensor], references: Samples, pool: Samples | None) -> Terms:
        """The concept's part, the anchor's, and with η that of pure learning."""
        complete, target, text = v[COMPLETE], references.target, self._anchor
        if self._strength != 1:
            original = v[_ORIGINAL]
            target = objective.guided_velocity(original, self._strength, objective.residual(target, original))
        if self.masked:
            mask = references.mask
            far = (1 - mask) * (1 - expected(*(v[p] for p in _EXPECTED)))
            concept = objective.regional_loss(complete, target, v[_ORIGINAL], mask, far)
        else:
            concept = objective.concept_loss(complete, target)
        kept = objective.concept_loss(v[Pass(LEARNER, text, grad=True)], v[Pass(BASE, text)])
        total = concept + self.weight * kept
        parts = {"concept": concept.detach(), "preservation": kept.detach()}
        if self.eta:
            original = v[_ORIGINAL]
            r_tar = objective.concept_direction(v[Pass(EXTRACTOR, "target")], v[Pass(EXTRACTOR, "empty")])
            scale = objective.adaptive_scale(objective.residual(complete, original), r_tar).detach()
            pure = objective.pure_learning_loss(complete, original, scale, r_tar)
            total = objective.total_loss(total, pure, self.eta)
            parts |= {"pure": pure.detach(), "lambda": scale.detach()}
        return Terms(total, parts)


_ORIGINAL = Pass(BASE, "base")
_EXPECTED = Pass(BASE, "class"), Pass(BASE, "empty")
BEYOND = 1 / 12
"""How far E goes beyond what the difference shows, in sides of the picture: parts that stick out are the concept's."""


def expected(v_class: Tensor, v_empty: Tensor) -> Tensor:
    """E of `AnchoredLearning`, [B, 1, H, W] in [0, 1], from the base's velocities [B, C, H, W]."""
    return maps.widen(maps.threshold(maps.blur(maps.difference(v_class, v_empty))), BEYOND)


def describe(recipe: Recipe) -> dict[str, Any]:
    """A recipe as plain data, for a file's metadata."""
    return {"method": type(recipe).__name__, **asdict(recipe)}


def shares(recipe: Recipe) -> dict[Pass, float]:
    """For how many of a step's samples each pass is computed: all, but those that another pass gives already.

    Of the base's anchor these are the references with their base text, half of it, where `_ORIGINAL` is there.
    """
    repeated = Pass(BASE, "anchor") if _ORIGINAL in recipe.passes else None
    return {p: 0.5 if p == repeated else 1.0 for p in recipe.passes}


def work(recipe: Recipe) -> float:
    """What a step costs a sample, in forward passes: one with a gradient counts as three."""
    return sum(share * (3 if p.grad else 1) for p, share in shares(recipe).items())


def needs_mask(recipe: Recipe) -> bool:
    """Whether a recipe asks where the concept is."""
    return isinstance(recipe, AnchoredLearning) and recipe.masked


def needs_pool(recipe: Recipe) -> bool:
    """Whether a recipe trains on pictures that the base draws."""
    return any(p.text in ("pool", "anchor") for p in recipe.passes)


def needs(recipe: Recipe, branch: str | None = EXTRACTOR, text: Text | None = None) -> bool:
    """Whether a recipe has a pass on that branch, or, with `text`, any pass on that text."""
    if text is not None:
        return any(p.text == text for p in recipe.passes)
    return any(p.branch == branch for p in recipe.passes)
