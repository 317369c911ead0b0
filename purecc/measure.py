"""What training does to the rest of the model: drift."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from .recipes import BASE, LEARNER
from .sampling import times, trajectory
from .trainee import Trainee

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
"""Points on every trajectory while a model is trained: fewer than afterwards, for the training waits meanwhile."""
SHARE = 0.03
"""The most that measuring may cost, in parts of the training."""
OFTEN = 4
"""Measurements that a run should have: rather on fewer prompts than less often."""


def passes(prompts: int, measurements: int, points: int = WATCHED) -> int:
    """Passes of one sample that drift takes: the base's with and without the prompt, then those of each measurement."""
    return prompts * (2 * points - 1 + measurements * points)


def affordable(prompts: int, work: float, steps: int) -> tuple[int, int]:
    """How many prompts drift is measured on, and the steps between two measurements; the last step has one always.

    All of it, the base's part too, costs at most `SHARE` of the training, if one measurement on one prompt does.

    Args:
        prompts: at most.
        work: of a step, in passes of one sample.
        steps: of the training.
    """

    def measurements(count: int) -> int:
        return math.floor((SHARE * work * steps - passes(count, 0)) / (count * WATCHED))

    enough = (count for count in range(prompts, 0, -1) if measurements(count) >= min(OFTEN, steps))
    count = next(enough, 1)
    return count, math.ceil(steps / max(1, measurements(count)))


def guided(trainee: Trainee, branch: str | None, prompts: Sequence[str], cfg: float, limit: int | None = None):
    """A velocity with classifier-free guidance, v_∅ + cfg (v - v_∅), of one branch for fixed prompts.

    At most `limit` samples go through one pass.
    """

    def velocity(x, t):
        texts = [*prompts, *[""] * len(prompts)]
        v, empty = trainee.run(branch, torch.cat([x, x]), torch.cat([t, t]), texts, limit).chunk(2)
        return empty + cfg * (v - empty)

    return velocity


class DriftProbe:
    """Drift = Σ ‖v − v_base‖² / Σ ‖v_base‖² over x_t from the base's own trajectories on a fixed set of prompts.

    The one definition of drift in this project. The base's trajectories are Euler's with guidance; the velocities
    compared are those of the prompt alone. What it takes is in `passes`.
    """

    @torch.no_grad()
    def __init__(
        self,
        trainee: Trainee,
        shape: tuple[int, int, int],
        prompts: Sequence[str] = UNRELATED_PROMPTS,
        steps: int = 8,
        cfg: float = 4.0,
        seed: int = 0,
        limit: int | None = 16,
    ):
        """Draws the points and the base's velocities there.

        Args:
            trainee: what is being trained.
            shape: (C, H, W) of the latents.
            prompts: unrelated to the concept; the conditioner must know them, and the empty one.
            steps: points on every trajectory.
            cfg: guidance of the base's trajectories.
            seed: of the starting noise.
            limit: the most samples in one pass.
        """
        self._trainee, self._prompts, self._limit = trainee, list(prompts), limit
        self._points: list[_Points] = []
        t = times(steps)
        noise = torch.randn(len(prompts), *shape, generator=torch.Generator().manual_seed(seed))

        def with_guidance(x: Tensor, now: Tensor) -> Tensor:
            v = self._points[-1].v  # at this very x, without guidance
            empty = trainee.run(BASE, x, now, [""] * len(x), limit)
            return empty + cfg * (v - empty)

        # Each state is measured before the trajectory goes on from it, and from the last it does not.
        path = trajectory(with_guidance, noise.to(trainee.model.device), t)
        for (now, then), x in zip(pairwise(t.tolist()), path, strict=False):
            self._points.append(_Points(x, now, now - then, self._velocity(BASE, x, now)))

    def __call__(self, branch: str | None = LEARNER) -> float:
        """The drift of a branch now."""
        return self.with_divergence(branch)[0]

    @torch.no_grad()
    def with_divergence(self, branch: str | None = LEARNER) -> tuple[float, float]:
        """Drift, and the divergence KL(base ‖ branch) in nats a picture, averaged over prompts.

        The divergence of the two models' sampling paths with the forward process's own noise added (Girsanov):
        ∫ (1 − t) / t ‖v − v_base‖² dt, by rectangles over the same points. Guidance is not in it.
        """
        moved = whole = divergence = 0.0
        for p in self._points:
            squares = (self._velocity(branch, p.x, p.t) - p.v).double().square().sum()
            moved += squares
            whole += p.v.double().square().sum()
            divergence += (1 - p.t) / p.t * p.dt * squares
        return float(moved / whole), float(divergence / len(self._prompts))

    def _velocity(self, branch: str | None, x: Tensor, t: float) -> Tensor:
        """In the same batches for every branch, so that what has not changed gives the same numbers."""
        return self._trainee.run(branch, x, torch.full((len(x),), t, device=x.device), self._prompts, self._limit)


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
