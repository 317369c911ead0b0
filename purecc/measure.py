"""What training does to the rest of the model: drift."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

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


def interval(passes: int, work: float, steps: int) -> int:
    """Steps between two measurements so that all cost at most `SHARE` of the training; the last is made always.

    Args:
        passes: of one sample, for a measurement.
        work: of a step, in the same.
        steps: of the training.
    """
    return math.ceil(steps / max(1, math.floor(SHARE * work * steps / passes)))


def guided(trainee: Trainee, branch: str | None, prompts: Sequence[str], cfg: float):
    """A velocity with classifier-free guidance, v_∅ + cfg (v - v_∅), of one branch for fixed prompts."""

    def velocity(x, t):
        texts = [*prompts, *[""] * len(prompts)]
        v, empty = trainee.run(branch, torch.cat([x, x]), torch.cat([t, t]), texts).chunk(2)
        return empty + cfg * (v - empty)

    return velocity


class DriftProbe:
    """Drift = Σ ‖v − v_base‖² / Σ ‖v_base‖² over x_t from the base's own trajectories on a fixed set of prompts.

    The one definition of drift in this project. The base's trajectories are Euler's with guidance; the velocities
    compared are those of the prompt alone.

    Attributes:
        passes: of one sample, for a measurement.
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
        self._trainee, self._limit = trainee, limit
        generator = torch.Generator().manual_seed(seed)
        points, at, spans, texts = [], [], [], []
        t = times(steps).to(trainee.model.device)
        noise = torch.randn(len(prompts), *shape, generator=generator).to(trainee.model.device)
        for prompt, x1 in zip(prompts, noise.split(1), strict=True):
            states = list(trajectory(guided(trainee, BASE, [prompt], cfg), x1, t))[:-1]
            points += states
            at.append(t[:-1])
            spans.append(t[:-1] - t[1:])
            texts += [prompt] * len(states)
        self._x, self._t, self._texts = torch.cat(points), torch.cat(at), texts
        self._dt, self._prompts = torch.cat(spans), len(prompts)
        self.passes = len(texts)
        self._base = trainee.run(BASE, self._x, self._t, self._texts, limit)

    def __call__(self, branch: str | None = LEARNER) -> float:
        """The drift of a branch now."""
        return self.with_divergence(branch)[0]

    @torch.no_grad()
    def with_divergence(self, branch: str | None = LEARNER) -> tuple[float, float]:
        """Drift, and the divergence KL(base ‖ branch) in nats a picture, averaged over prompts.

        The divergence of the two models' sampling paths with the forward process's own noise added (Girsanov):
        ∫ (1 − t) / t ‖v − v_base‖² dt, by rectangles over the same points. Guidance is not in it.
        """
        v = self._trainee.run(branch, self._x, self._t, self._texts, self._limit)
        squares = (v - self._base).double().square().flatten(1).sum(1)
        weight = ((1 - self._t) / self._t * self._dt).to(squares)
        drift = float(squares.sum() / self._base.double().square().sum())
        return drift, float((weight * squares).sum() / self._prompts)
