"""What all rows of ours share: models, references, an extractor, and what was found out once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from unittest import mock

import torch

from purecc_pack.purecc.dataset import ConceptDataset
from purecc_pack.purecc.files import Adapter
from purecc_pack.purecc.history import Step
from purecc_pack.purecc.host import datasets, planning
from purecc_pack.purecc.host.assembly import Assembly
from purecc_pack.purecc.host.job import Job
from purecc_pack.purecc.host.session import customise
from purecc_pack.purecc.plan import Plan
from speed import accuracy, clock, stages
from speed.models import Models, load_fp8
from speed.sizes import Size
from speed.stages import Configuration


@dataclass(frozen=True)
class References:
    """Random pictures as a dataset of the pack.

    Attributes:
        dataset: as Concept Dataset makes it, without masks.
        seconds: that this took; it is the VAE's work.
    """

    dataset: ConceptDataset
    seconds: float


def references(models: Models, pixels: int) -> References:
    """The references at a size."""
    generator = torch.Generator().manual_seed(pixels)
    pictures = [torch.rand(1, pixels, pixels, 3, generator=generator) for _ in stages.CAPTIONS]
    parts = clock.Parts(models.model.load_device)
    parts.begin("latents")
    with torch.inference_mode():
        dataset = datasets.build(pictures, stages.CAPTIONS, stages.CLASS_WORD, "instance", models.vae, pixels)
    parts.end()
    return References(dataset, parts.seconds["latents"])


@dataclass
class World:
    """What all rows of ours share.

    Attributes:
        models: as the stock loader gives them.
        checkpoint: their file.
        size: their shapes.
        built: the references at every side of a picture.
        demands: (demand, seconds) of the dry runs that were made.
        observed: a step, and what it computed in, by (stage, configuration); plain ones among them.
    """

    models: Models
    checkpoint: Path
    size: Size
    built: Mapping[int, References]
    demands: dict[tuple, tuple] = field(default_factory=dict)
    observed: dict[tuple[str, str], tuple[accuracy.Observation, torch.dtype]] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        """Where the steps run."""
        return self.models.model.load_device

    @property
    def smallest(self) -> int:
        """Side of the smallest pictures."""
        return min(self.built)

    @property
    def dataset(self) -> ConceptDataset:
        """The references at that side."""
        return self.built[self.smallest].dataset

    @cached_property
    def theta1(self) -> Adapter:
        """θ1 as one step of stage 1 leaves it: how long a step of stage 2 takes does not depend on its values."""
        job = stages.job(stages.STAGES["extractor"], Configuration(), self.size, steps=1)
        with torch.inference_mode():
            return customise(self.models.model, self.models.clip, self.dataset, job, Quiet()).adapter

    @cached_property
    def fp8(self):
        """MODEL with 8-bit weights."""
        return load_fp8(self.checkpoint)

    def model(self, configuration: Configuration):
        """MODEL as a configuration has it."""
        return self.fp8 if configuration.fp8 else self.models.model

    def plan(self, assembly: Assembly, dataset: ConceptDataset, job: Job, key: tuple) -> tuple[Plan, float]:
        """The plan of a job, put in place, and the seconds that it takes; what it counts is counted once a key."""
        key, spent = (*key, job.settings.batch), 0.0

        def once(*args):
            nonlocal spent
            if key in self.demands:
                spent = self.demands[key][1]
            else:
                began = time.perf_counter()
                self.demands[key] = demand(*args), time.perf_counter() - began
            return self.demands[key][0]

        began, demand = time.perf_counter(), planning.demand
        with mock.patch.object(planning, "demand", once):
            plan = planning.timed(planning.planned(assembly, dataset, job), assembly, dataset, job)
        return plan, time.perf_counter() - began + spent


class Quiet:
    """A run's listener that keeps what should be known.

    Attributes:
        notes: of the run.
    """

    def __init__(self, step: Callable[[Step], None] = lambda step: None):
        self.notes: list[str] = []
        self._step = step

    def say(self, text: str) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Keeps it."""
        self.notes.append(text)

    def masks(self, dataset: ConceptDataset) -> None:
        """Nothing."""

    def step(self, step: Step, previews) -> None:
        """Tells whom it was made with."""
        self._step(step)
