"""Measure a run while it trains."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from concepts import Concept
from prompts import FEWER, FEWER_SHORT, GROUPS, SHORT, Asked, asked, drift_prompts
from samples import CFG, generate
from torch import Tensor

from purecc_pack.purecc.host.training.session import Session
from purecc_pack.purecc.method.recipe import LEARNER
from purecc_pack.purecc.training.drift import DriftProbe

if TYPE_CHECKING:
    from bench import World

IMAGE_SEEDS = 4
"""Every prompt has four fixed seeds; a run with training seed s draws all prompts at seed s mod 4."""


@dataclass(frozen=True)
class Budget:
    """How long a method trains, and when it is measured.

    Attributes:
        steps: of every stage.
        points: steps at which a short measurement is made; the last step has the whole one, if `whole`.
        whole: whether all prompts are drawn at the end.
        batch: samples a step.
        rank: of the LoRA.
        guidance: of the pictures that are drawn.
        fewer: whether the whole one has the prompts of `FEWER`.
    """

    steps: int = 200
    points: tuple[int, ...] = (25, 50, 100, 200)
    whole: bool = True
    batch: int = 4
    rank: int = 8
    guidance: float = CFG
    fewer: bool = False

    @property
    def counts(self) -> dict[str, int]:
        """How many prompts of each kind are drawn at the end."""
        return FEWER if self.fewer else GROUPS

    @property
    def short_counts(self) -> dict[str, int]:
        """The same on the way."""
        return FEWER_SHORT if self.fewer else SHORT


class Silent:
    """A listener that ignores everything."""

    def phase(self, phase, **values) -> None:
        """Nothing."""

    def note(self, message, topic=None) -> None:
        """Nothing."""

    def resumed(self, steps, total) -> None:
        """Do nothing."""

    def masks(self, dataset) -> None:
        """Nothing."""

    def step(self, step, previews) -> None:
        """Nothing."""


class Measuring(Silent):
    """Measures a run before its first step and, as its listener, after some.

    Attributes:
        base: the base's images at the seed of the run, VAE latents.
        other: the same at the next seed.
        curve: figures by step.
        pictures: images of the model in training by step, VAE latents.
        seconds: what measuring took between the first step and the last.
    """

    def __init__(self, world: World, concept: Concept, seed: int, budget: Budget, session: Session):
        self._world, self._concept, self._budget = world, concept, budget
        self._branched, self._field, self._seed = session.assembly.branched, session.assembly.field, seed % IMAGE_SEEDS
        shape = tuple(world.dataset(concept).items[0].latents.shape[1:])
        self._drift = DriftProbe(self._branched, shape, drift_prompts(concept))
        seeds = self._seed, (seed + 1) % IMAGE_SEEDS
        given = self._branched, self._field, *self._prompts
        self.base, self.other = (world.base(concept, s, *given) for s in seeds)
        self.curve: dict[int, dict[str, float]] = {}
        self.pictures: dict[int, Tensor] = {}
        self.seconds = 0.0

    @property
    def _prompts(self) -> tuple[list[Asked], list[int]]:
        """The prompts of the end, and their numbers among all."""
        whole, every = asked(self._concept, self._budget.counts), asked(self._concept)
        return whole, [every.index(a) for a in whole]

    def step(self, step, previews) -> None:
        """Measure the steps of the budget."""
        budget, number = self._budget, step.number
        last = number == budget.steps and budget.whole
        if number not in budget.points and not last:
            return
        began = time.perf_counter()
        whole, numbers = self._prompts
        prompts = whole if last else asked(self._concept, budget.short_counts)
        rows = [whole.index(a) for a in prompts]
        texts, numbers = [a.text for a in prompts], [numbers[k] for k in rows]
        given = self._branched, self._field, LEARNER, texts, self._seed, numbers, budget.guidance
        self.pictures[number] = generate(*given)
        figures = self._world.figures(self._concept, prompts, self.pictures[number], self.base[rows])
        drift, kl = self._drift.with_divergence(LEARNER)
        self.curve[number] = {**figures, "drift": drift, "kl": kl}
        self.seconds += (time.perf_counter() - began) * (number < budget.steps)
