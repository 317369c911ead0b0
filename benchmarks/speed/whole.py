"""A whole customisation, from pictures to saved files: dataset, extractor, pure learning, with the models loaded."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import torch

from purecc_pack.purecc import files
from purecc_pack.purecc.host.session import customise
from speed import clock, ours, stages
from speed.measured import Measured, Shape
from speed.models import Models
from speed.sizes import Size

STAGES = "extractor", "pure learning, paper"


def measure(
    models: Models, size: Size, shapes: Sequence[Shape], configurations: Mapping[str, stages.Configuration], steps: int
) -> Iterator[tuple[str, Shape, Measured]]:
    """The first shape in every configuration, as (configuration, shape, run): one run, so many steps a stage."""
    shape = shapes[0]
    for name, configuration in configurations.items():
        yield name, shape, _run(models, size, shape, configuration, steps)


def _run(models: Models, size: Size, shape: Shape, configuration: stages.Configuration, steps: int) -> Measured:
    device = models.model.load_device
    listener = SimpleNamespace(say=lambda text: None, step=lambda step, previews: None)
    parts = clock.Parts(device)
    clock.forget_peak(device)
    adapter = None
    try:
        parts.begin("dataset")
        dataset = ours.references(models, shape.pixels).dataset
        for stage in STAGES:
            parts.begin(stage)
            job = stages.job(stages.STAGES[stage], configuration, size, steps=steps, batch=shape.batch)
            with torch.inference_mode():
                adapter = customise(models.model, models.clip, dataset, job, listener, adapter).adapter
        parts.begin("saving")
        with tempfile.TemporaryDirectory(prefix="speed-") as folder:
            files.save(adapter, Path(folder) / "loras", Path(folder) / "embeddings")
        parts.end()
    except torch.OutOfMemoryError:
        return Measured([], note="out of memory")
    details = {"steps of each stage": steps, **parts.seconds}
    return Measured([sum(parts.seconds.values())], None, clock.peak_reserved(device), {}, "a whole run", details)
