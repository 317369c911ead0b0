"""A whole run, from pictures to saved files, with the models loaded; and the stock KSampler before and after it."""

from __future__ import annotations

import itertools
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import torch
from comfy import model_management, utils
from torch import Tensor

from purecc_pack.purecc import files
from purecc_pack.purecc.files import Adapter
from purecc_pack.purecc.history import History, Step
from purecc_pack.purecc.host import assembly
from purecc_pack.purecc.host.field import HostField, private_field
from purecc_pack.purecc.host.session import customise
from speed import clock, memory, stages
from speed.measured import OUT_OF_MEMORY, TOO_LITTLE, Measured, Shape
from speed.stages import Configuration
from speed.targets import HALVES
from speed.world import Quiet, World, references

STAGES = "extractor", "pure learning, paper"
SAMPLING_STEPS, SAMPLES, GUIDANCE = 8, 3, 4.0
"""Of a picture of the stock KSampler, with a pass for the prompt and one for none at every step; how many are timed."""


def train(
    world: World, names: Sequence[str], configuration: Configuration, shape: Shape, steps: int, theta1: Adapter | None
) -> Measured:
    """A run of so many steps of each of the named stages; on a smaller card where the configuration has a cap.

    θ1 is what the first stage leaves, or is given.
    """
    parts, held, dtypes = clock.Parts(world.device), [], [None]

    def watch(step: Step) -> None:
        if step.number in (2, steps):
            held.append(memory.held(world.device))

    listener, adapter, history = Quiet(watch), theta1, History()
    if configuration.cap:
        model_management.unload_all_models()  # to which the smaller card has no room
    with memory.capped(world.device, configuration.cap):
        memory.forget_peak(world.device)
        try:
            parts.begin("dataset")
            dataset = references(world.models, shape.pixels).dataset
            for name in names:
                parts.begin(name)
                job = stages.job(stages.STAGES[name], configuration, world.size, steps=steps, batch=shape.batch)
                with torch.inference_mode(), _copies(world, configuration, dtypes):
                    outcome = customise(world.model(configuration), world.models.clip, dataset, job, listener, adapter)
                adapter, history = outcome.adapter, outcome.history
                if adapter.kind == "extractor":
                    world.theta1 = adapter
            parts.begin("saving")
            with tempfile.TemporaryDirectory(prefix="speed-") as folder:
                files.save(adapter, Path(folder) / "loras", Path(folder) / "embeddings")
            parts.end()
        except TOO_LITTLE:
            return Measured([], note=OUT_OF_MEMORY, dtype=dtypes[-1])
        peak, context = memory.peak_reserved(world.device), memory.context(world.device)
    details = {"steps of each stage": steps, **parts.seconds, **_halves(history)}
    grown = held[-1] - held[-2] if steps > 2 else None
    seconds = [sum(parts.seconds.values())]
    return Measured(seconds, None, peak, {}, context, grown, "; ".join(listener.notes), details, dtypes[-1])


@contextmanager
def _copies(world: World, configuration: Configuration, dtypes: list[torch.dtype | None]) -> Iterator[None]:
    """Tells what the private copies of runs compute in."""

    @contextmanager
    def watched(*given) -> Iterator[HostField]:
        with private_field(*given) as field:
            dtypes.append(configuration.check(field, world.size))
            yield field

    with mock.patch.object(assembly, "private_field", watched):
        yield


def _halves(history: History) -> dict[str, float]:
    """Median seconds of a step in either half of a stage."""
    ends = [step.seconds for step in history.steps]
    each = [after - before for before, after in itertools.pairwise(ends)]
    half = len(each) // 2
    if not half:
        return {}
    medians = statistics.median(each[:half]), statistics.median(each[half:])
    return dict(zip(HALVES, medians, strict=True))


class Sampling:
    """Pictures of the user's own MODEL by the stock KSampler, as long as it takes.

    Args:
        world: its MODEL and CLIP.
        pixels: side of the pictures.
    """

    def __init__(self, world: World, pixels: int):
        utils.set_progress_bar_enabled(False)  # which would be one on the console
        self._world, self._latent = world, torch.zeros(1, 16, pixels // 8, pixels // 8)
        self._picture: Tensor | None = None

    def __call__(self) -> Measured:
        """Some pictures of one seed; from the second call on, how far they are from those of the first."""
        from nodes import KSampler  # the host's

        device, (model, clip) = self._world.device, (self._world.models.model, self._world.models.clip)
        with torch.inference_mode():
            conds = [clip.encode_from_tokens_scheduled(clip.tokenize(t)) for t in (stages.CLASS_WORD, "")]
        steps = clock.Steps(device, 1, SAMPLES)
        steps.begin()
        for _ in range(steps.total):
            with torch.inference_mode():
                given = 0, SAMPLING_STEPS, GUIDANCE, "euler", "simple", *conds, {"samples": self._latent}
                picture = KSampler().sample(model, *given)[0]["samples"].cpu()
            steps.finished()
        self._picture = picture if self._picture is None else self._picture
        details = {
            "steps": SAMPLING_STEPS,
            "held": memory.held(device),
            "difference": float((picture - self._picture).abs().max()),
        }
        peak, context = memory.peak_reserved(device), memory.context(device)
        dtype = self._world.models.model.model.get_dtype_inference()
        return Measured(steps.seconds, steps.first, peak, {}, context, steps.grown, details=details, dtype=dtype)
