"""Drift: how far training moves the model on prompts that have nothing to do with the concept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import torch
from torch import Tensor

from ..method.recipe import BASE, LEARNER
from ..network.sampling import guide, trajectory

UNRELATED_PROMPTS = (
    "a mountain lake at dawn",
    "a bowl of fruit on a wooden table",
    "a portrait of an old fisherman",
    "a crowded street in the rain at night",
    "a sailing boat on a calm sea",
    "a black and white photograph of a cathedral",
    "an astronaut reading a newspaper",
    "a watercolour painting of a garden",
)


WATCHED = 4
"""Points on every trajectory while a model is trained: fewer than afterwards, because training waits meanwhile."""
SHARE = 0.03
"""The largest share of the training time that measuring may take."""
OFTEN = 4
"""Measurements that a run should have; prompts are dropped before measurements are."""


def passes(prompts: int, measurements: int, points: int = WATCHED) -> int:
    """Return the passes of one sample that drift takes: the base's and each measurement's."""
    return prompts * (2 * points - 1 + measurements * points)


def affordable(prompts: int, work: float, steps: int) -> tuple[int, int]:
    """Return on how many prompts drift is measured, and the steps between two measurements; the last step has one too.

    All of it, the base's passes too, costs at most `SHARE` of the training. One prompt is measured once in any case.

    Args:
        prompts: the most there are.
        work: passes of one sample that a training step takes.
        steps: number of training steps.
    """

    def measurements(count: int) -> int:
        return math.floor((SHARE * work * steps - passes(count, 0)) / (count * WATCHED))

    enough = (count for count in range(prompts, 0, -1) if measurements(count) >= min(OFTEN, steps))
    count = next(enough, 1)
    return count, math.ceil(steps / max(1, measurements(count)))


class Branches(Protocol):
    """What drift is measured on: a BranchedModel, or anything else that runs branches.

    Attributes:
        field: says on which `device` the velocities are computed, and with `path` at which times.
    """

    @property
    def field(self) -> Any:
        """See the class."""

    def run(self, branch: str | None, x_t: Tensor, t: Tensor, texts: Sequence[str], limit: int | None = None) -> Tensor:
        """Return v of one branch, [B, C, H, W], for B texts; see BranchedModel."""
        ...


class DriftProbe:
    """Drift = Σ ‖v − v_base‖² / Σ ‖v_base‖² over x_t from the base's own trajectories on a fixed set of prompts.

    The one definition of drift in this project. The base's trajectories are Euler's with guidance; the compared
    velocities are those of the prompt alone. `passes` gives its cost.
    """

    @torch.no_grad()
    def __init__(
        self,
        branched: Branches,
        shape: tuple[int, ...],
        prompts: Sequence[str] = UNRELATED_PROMPTS,
        steps: int = 8,
        cfg: float = 4.0,
        seed: int = 0,
        limit: int | None = 16,
    ):
        """Sample the base's trajectories and keep its velocities on them.

        Args:
            branched: the model in training.
            shape: (C, H, W) of the latents.
            prompts: unrelated to the concept; the conditioner must know them, and the empty one.
            steps: points on every trajectory.
            cfg: guidance of the base's trajectories.
            seed: of the starting noise.
            limit: the most samples in one pass.
        """
        self._branched, self._prompts, self._limit = branched, list(prompts), limit
        self._points: list[_Points] = []
        t = branched.field.path.steps(steps)
        noise = torch.randn(len(prompts), *shape, generator=torch.Generator().manual_seed(seed))

        def with_guidance(x: Tensor, now: Tensor) -> Tensor:
            v = self._points[-1].v  # at this very x, without guidance
            return guide(v, branched.run(BASE, x, now, [""] * len(x), limit), cfg)

        # Each state is measured before the trajectory goes on from it, and from the last it does not.
        path = trajectory(with_guidance, noise.to(branched.field.device), t)
        for (now, then), x in zip(pairwise(t.tolist()), path, strict=False):
            self._points.append(_Points(x, now, now - then, self._velocity(BASE, x, now)))

    def __call__(self, branch: str | None = LEARNER) -> float:
        """Return the drift of a branch as it is now."""
        return self.with_divergence(branch)[0]

    @torch.no_grad()
    def with_divergence(self, branch: str | None = LEARNER) -> tuple[float, float]:
        """Return drift, and the divergence KL(base ‖ branch) in nats an image, averaged over prompts.

        The divergence compares the two models' sampling paths with the noise of the forward process added (Girsanov):
        ∫ (1 − t) / t ‖v − v_base‖² dt, by rectangles over the same points, without guidance.
        """
        moved: Tensor | float = 0.0
        whole: Tensor | float = 0.0
        divergence: Tensor | float = 0.0
        for p in self._points:
            squares = (self._velocity(branch, p.x, p.t) - p.v).double().square().sum()
            moved += squares
            whole += p.v.double().square().sum()
            divergence += (1 - p.t) / p.t * p.dt * squares
        return float(moved / whole), float(divergence / len(self._prompts))

    def _velocity(self, branch: str | None, x: Tensor, t: float) -> Tensor:
        """Return v at one time, in equal batches for every branch, so that an unchanged branch gives equal numbers."""
        return self._branched.run(branch, x, torch.full((len(x),), t, device=x.device), self._prompts, self._limit)


@dataclass(frozen=True)
class _Points:
    """States of all trajectories at one time.

    Attributes:
        x: [P, C, H, W].
        t: the time.
        dt: to the next.
        v: the base's velocities there, [P, C, H, W].
    """

    x: Tensor
    t: float
    dt: float
    v: Tensor
