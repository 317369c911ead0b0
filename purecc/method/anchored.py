"""Anchored learning: the default method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from . import maps, objective
from .recipe import BASE, COMPLETE, EXTRACTOR, LEARNER, Pass, Recipe, Samples, Terms, Text


@dataclass(frozen=True)
class AnchoredLearning(Recipe):
    """Learns the concept inside its mask, and ties the model to the base elsewhere and where the concept is not named.

    M ‖v_θ2(x_t | y_complete) − v_s‖² + F ‖v_θ2(x_t | y_complete) − v_b‖² + m ‖v_θ2(z | p) − v_base(z | p)‖²
    [+ η L_PureCC], in the mean over places, where v_b = v_base(x_t | y_base) is PureCC's v_original (9) from the
    untouched base, v_s = v_b + s (v − v_b), M is the mask of the concept in the reference, F = (1 − M)(1 − E), and
    (z, p) is, by a coin for each sample, (x_t, y_base) or a noised image of the base model with its prompt.

    E is where the base, at this x_t, still expects the class: where its class prompt differs from the empty one, and a
    little beyond. In much noise E is wide, since the base cannot know yet where the thing of this reference is. Tying
    the model to the base there would teach it to generate the base's own thing beside the concept.

    Guidance multiplies what the text adds to the empty prompt. The base recognises its own styles in an image, so near
    the end of sampling the text adds little; a new style keeps adding, and guidance overdoes it. So a style, which
    changes every place, is learned at half strength (`fit`).

    Attributes:
        weight: m.
        masked: whether M is used; without it M = 1, and with s = 1 the first two terms are L_CC (3).
        replay: whether the anchor also has images of the base model; without them it is DOP's.
        eta: η of L_PureCC (14) with λ* and v_original from the base beside it; above 0 it needs an extractor.
        strength: s; None: chosen by `fit`, else 1.
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
    def needs_mask(self) -> bool:
        """Whether M is used."""
        return self.masked

    @property
    def rate_factor(self) -> float:
        """Eight: it learns inside the mask alone, and is held back elsewhere (measured on PureCC Tiny)."""
        return 8.0

    @property
    def averaged(self) -> bool:
        """Yes: at its rate the weights swing."""
        return True

    def without_mask(self) -> Recipe:
        """Return the recipe with M = 1, which needs fewer passes."""
        return replace(self, masked=False)

    def target_layers(self, kind: str) -> str:
        """Return the layers that measured best: attention and MLP for an instance, modulation for a style.

        The modulation sees the text and the time but no image, so a style also appears in scenes that no reference had.
        """
        return "modulation" if kind == "style" else "attention and mlp"

    def fit(self, kind: str, targets: str) -> Recipe:
        """Return the recipe with `STYLE_STRENGTH` for a style on the modulation, if s is not set."""
        if self.strength is None and kind == "style" and targets == "modulation":
            return replace(self, strength=STYLE_STRENGTH)
        return self

    @property
    def shares(self) -> dict[Pass, float]:
        """All samples, but half for the base's anchor where its references are in the pass of the base text."""
        repeated = Pass(BASE, "anchor") if ORIGINAL in self.passes else None
        return {p: 0.5 if p == repeated else 1.0 for p in self.passes}

    @property
    def passes(self) -> tuple[Pass, ...]:
        """Complete and the anchor on the learner; the anchor, base text, class and ∅ on the base; with η, θ1's two."""
        text = self._anchor
        passes = [COMPLETE, Pass(LEARNER, text, grad=True), Pass(BASE, text)]
        if self.masked:
            passes += [ORIGINAL, *EXPECTED]
        if self._strength != 1:
            passes.append(ORIGINAL)
        if self.eta:
            passes += [ORIGINAL, Pass(EXTRACTOR, "target"), Pass(EXTRACTOR, "empty")]
        return tuple(dict.fromkeys(passes))

    def terms(self, v: Mapping[Pass, Tensor], references: Samples, pool: Samples | None) -> Terms:
        """Return the losses of the concept, of the anchor, and with η of pure learning."""
        complete, target, text = v[COMPLETE], references.target, self._anchor
        if self._strength != 1:
            original = v[ORIGINAL]
            target = objective.guided_velocity(original, self._strength, objective.residual(target, original))
        if self.masked:
            mask = references.mask
            far = (1 - mask) * (1 - expected(*(v[p] for p in EXPECTED)))
            concept = objective.regional_loss(complete, target, v[ORIGINAL], mask, far)
        else:
            concept = objective.concept_loss(complete, target)
        kept = objective.concept_loss(v[Pass(LEARNER, text, grad=True)], v[Pass(BASE, text)])
        total = concept + self.weight * kept
        parts = {"concept": concept.detach(), "preservation": kept.detach()}
        if self.eta:
            original = v[ORIGINAL]
            r_tar = objective.concept_direction(v[Pass(EXTRACTOR, "target")], v[Pass(EXTRACTOR, "empty")])
            scale = objective.adaptive_scale(objective.residual(complete, original), r_tar).detach()
            pure = objective.pure_learning_loss(complete, original, scale, r_tar)
            total = objective.total_loss(total, pure, self.eta)
            parts |= {"pure": pure.detach(), "lambda": scale.detach()}
        return Terms(total, parts)


STYLE_STRENGTH = 0.5
"""s of a style on the modulation."""
ORIGINAL = Pass(BASE, "base")
EXPECTED = Pass(BASE, "class"), Pass(BASE, "empty")
BEYOND = 1 / 12
"""How far E is widened, in sides of the image: parts that stick out belong to the concept."""


def expected(v_class: Tensor, v_empty: Tensor) -> Tensor:
    """Return E of `AnchoredLearning`, [B, 1, H, W] in [0, 1], from the base's velocities [B, C, H, W]."""
    return maps.widen(maps.threshold(maps.blur(maps.difference(v_class, v_empty))), BEYOND)
