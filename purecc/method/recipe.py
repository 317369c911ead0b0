"""A training method: the passes that a step runs, and the losses that they make.

A recipe has two members of its own: `passes`, the velocities it needs, and `terms`, which turns them into losses. It
also says what else it needs and how it fits a concept. All recipes run in the one loop of `training.loop`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from torch import Tensor

from ..text.texts import ConceptTexts

LEARNER = "learner"
EXTRACTOR = "extractor"
BASE = None

Text = Literal["complete", "base", "target", "class", "empty", "pool", "anchor"]


@dataclass(frozen=True)
class Pass:
    """One velocity of a step.

    Attributes:
        branch: LEARNER (θ2, or θ1 while stage 1 trains it), EXTRACTOR (θ1, frozen), or BASE (both off).
        text: which text of the reference conditions it; "class", the plainest prompt of its class; "pool", an image of
            the pool with its own prompt; "anchor", by a coin for each sample, the reference with its base text or an
            image of the pool.
        grad: whether gradients flow through it.
    """

    branch: str | None
    text: Text
    grad: bool = False


@dataclass(frozen=True)
class Samples:
    """Noised images of a step.

    Attributes:
        texts: B of them.
        x_t: [B, C, H, W] (1).
        t: [B].
        target: x1 - x0 (2), [B, C, H, W]; like all velocities of a step, times the root of the loss weight.
        mask: where the concept is, or in a drawn image may be, [B, 1, H, W] in [0, 1]; 1 everywhere where nothing else
            is known.
        drawn: whether the base drew each, [B].
    """

    texts: tuple[ConceptTexts, ...]
    x_t: Tensor
    t: Tensor
    target: Tensor
    mask: Tensor
    drawn: Tensor


@dataclass(frozen=True)
class Terms:
    """Losses of a step, each [B].

    Attributes:
        total: what is minimised, in the mean over the batch.
        parts: its parts and diagnostics by name, detached.
    """

    total: Tensor
    parts: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe(ABC):
    """A training method."""

    @property
    @abstractmethod
    def passes(self) -> tuple[Pass, ...]:
        """The velocities that `terms` needs."""

    @abstractmethod
    def terms(self, v: Mapping[Pass, Tensor], references: Samples, pool: Samples | None) -> Terms:
        """Return the losses.

        Args:
            v: [B, C, H, W] for every pass.
            references: what the passes were run on.
            pool: the same for the pool, where a pass asks for it.
        """

    @property
    def needs_extractor(self) -> bool:
        """Whether it has a pass on θ1."""
        return any(p.branch == EXTRACTOR for p in self.passes)

    @property
    def needs_mask(self) -> bool:
        """Whether it uses the masks of the references."""
        return False

    @property
    def rate_factor(self) -> float:
        """The learning rate that suits it, over that of a plain LoRA."""
        return 1.0

    @property
    def averaged(self) -> bool:
        """Whether it is seen by, and leaves, the mean of the trained weights over the steps, the latest most."""
        return False

    @property
    def needs_pool(self) -> bool:
        """Whether it trains on images that the base generates."""
        return self.needs_text("pool") or self.needs_text("anchor")

    @property
    def needs_class_images(self) -> bool:
        """Whether it learns on images of the class that the base generates, in place of the references."""
        return False

    @property
    def latest(self) -> float:
        """Up to which time, in parts of all, a recipe with images of the class has the references beside them."""
        return 0.0

    def needs_text(self, text: Text) -> bool:
        """Whether it has a pass on that text."""
        return any(p.text == text for p in self.passes)

    def target_layers(self, kind: str) -> str:
        """Return the key of `lora.TARGETS` that suits a concept of that kind, "instance" or "style"; the paper's."""
        return "attention"

    def fit(self, kind: str, targets: str) -> Recipe:
        """Return the recipe as it is run on a concept of that kind with a LoRA on these layers."""
        return self

    def without_mask(self) -> Recipe:
        """Return the recipe for references that have no mask."""
        return self

    @property
    def shares(self) -> dict[Pass, float]:
        """For how many of a step's samples each pass is computed: all, unless another pass gives some already."""
        return dict.fromkeys(self.passes, 1.0)

    @property
    def work(self) -> float:
        """The cost of a step per sample, in forward passes: one with a gradient counts as three."""
        return sum(share * (3 if p.grad else 1) for p, share in self.shares.items())

    def describe(self) -> dict[str, Any]:
        """Return the recipe as plain data, for a file's metadata."""
        said = {"averaged": True} if self.averaged else {}
        return {"method": type(self).__name__, **asdict(self), **said}


COMPLETE = Pass(LEARNER, "complete", grad=True)
