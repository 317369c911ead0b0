"""Pure learning on images of the class: a second stage that sees no reference, or none in much noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from . import objective
from .anchored import EXPECTED, ORIGINAL, expected
from .recipe import BASE, COMPLETE, EXTRACTOR, LEARNER, Pass, Recipe, Samples, Terms


@dataclass(frozen=True)
class ClassImageLearning(Recipe):
    """Learns from the extractor what the concept adds to an image of its class, and ties the model to the base.

    ‖v_θ2(x_t | y_complete) − v_PureCC‖² + m ‖v_θ2(z | p) − v_base(z | p)‖², in the mean over places, where

    v_PureCC = v_b + λ E ⊙ R, R = v_θ1(x_t | y_tar) − v_b, v_b = v_base(x_t | y_base).

    It keeps the form of (13), v_original + λ R with a frozen extractor, and differs from the paper in three things.

    1. x_t are noised images that the base generates of the class, on many backgrounds, in many styles and places
       (`needs_class_images`). What the references share besides the concept is in none of them.
    2. R compares θ1 with the base. In R(y_tar) (8) both terms are θ1's, so what its LoRA learned mostly cancels.
    3. R counts where the base, at this x_t, expects the class: E of `AnchoredLearning`.

    The teacher is told more than the learner. y_base and y_tar name all that the image shows, with and without the
    concept; y_complete may leave out its background or place. So the teacher has nothing to guess, and the learner
    keeps the variety of the images where its prompt leaves something open.

    (z, p) is, by a coin for each sample, (x_t, y_base) or a noised image of the pool with its prompt.

    Where an image of the class shows another thing beside it, E ends half-way between the two: else the teacher makes
    another of the concept of it.

    With `below`, every second sample is a reference at a time below it. Place, pose and ground are settled by then, and
    what x_t shows of them is no news; the details that the base's own images lack are. Inside the mask M it is learned
    as it is: M v + (1 − M) v_PureCC takes the place of v_PureCC.

    Attributes:
        weight: m.
        scale: λ. λ* is no choice here: without L_CC its minimum is where nothing is learned.
        below: times of the references, in parts of all; 0: none is seen.
    """

    weight: float = 1.0
    scale: float = 1.0
    below: float = 0.0

    @property
    def needs_class_images(self) -> bool:
        """Yes: they take the place of the references."""
        return True

    @property
    def needs_mask(self) -> bool:
        """Whether references are seen."""
        return self.below > 0

    @property
    def rate_factor(self) -> float:
        """Eight: half of the loss holds it back (measured on PureCC Tiny)."""
        return 8.0

    @property
    def averaged(self) -> bool:
        """Yes: at its rate the weights swing."""
        return True

    @property
    def latest(self) -> float:
        """`below`."""
        return self.below

    def target_layers(self, kind: str) -> str:
        """Return attention and MLP, as *anchored* has for an instance."""
        return "attention and mlp"

    @property
    def shares(self) -> dict[Pass, float]:
        """All samples, but half for the base's anchor: the other half is in the pass of the base text."""
        return {p: 0.5 if p == _KEPT else 1.0 for p in self.passes}

    @property
    def passes(self) -> tuple[Pass, ...]:
        """Complete and the anchor on the learner; θ1's target; base text, anchor, class and ∅ on the base."""
        return (COMPLETE, _HELD, _KEPT, ORIGINAL, _TOLD, *EXPECTED)

    def terms(self, v: Mapping[Pass, Tensor], references: Samples, pool: Samples | None) -> Terms:
        """Return the losses of the concept and of the anchor, and how far E reaches."""
        original, where = v[ORIGINAL], expected(*(v[p] for p in EXPECTED))
        drawn, mask = references.drawn.view(-1, 1, 1, 1), references.mask
        where = torch.where(drawn, mask * where, where)
        taught = objective.guided_velocity(original, self.scale, where * objective.residual(v[_TOLD], original))
        taught = torch.where(drawn, taught, mask * references.target + (1 - mask) * taught)
        concept = objective.concept_loss(v[COMPLETE], taught)
        kept = objective.concept_loss(v[_HELD], v[_KEPT])
        parts = {"concept": concept.detach(), "preservation": kept.detach(), "expected": where.mean((1, 2, 3))}
        return Terms(concept + self.weight * kept, parts)


_TOLD = Pass(EXTRACTOR, "target")
_HELD, _KEPT = Pass(LEARNER, "anchor", grad=True), Pass(BASE, "anchor")
