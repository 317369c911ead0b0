"""What is known of a row: its shape, how long its steps took, and what they needed."""

from __future__ import annotations

import gc
import json
import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from purecc_pack.purecc.host.rescue import OutOfMemory
from speed import clock, memory

TOO_LITTLE = (torch.OutOfMemoryError, OutOfMemory)
"""What says that memory does not suffice."""

OUT_OF_MEMORY = "out of memory"


@dataclass(frozen=True)
class Shape:
    """What a step is given.

    Attributes:
        pixels: side of the pictures.
        batch: samples.
        warmup: steps that are not timed, at least one.
        timed: steps that are.
    """

    pixels: int
    batch: int
    warmup: int
    timed: int


@dataclass(frozen=True)
class Measured:
    """A run.

    Attributes:
        seconds: of every timed step; none where memory did not suffice.
        first: seconds of the first step.
        peak_reserved: bytes, over the timed steps; None where the device does not tell.
        parts: seconds of each part before the first step.
        context: bytes that CUDA itself takes, see `memory.context`.
        grown: bytes that live tensors took more after the last step than after the warm-up.
        note: what is to be said, such as "out of memory".
        details: further figures of this one row.
        dtype: what the transformer computed in; None where memory did not suffice to tell.
    """

    seconds: list[float]
    first: float | None = None
    peak_reserved: int | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    context: int | None = None
    grown: int | None = None
    note: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    dtype: torch.dtype | None = None


def attempted(steps: clock.Steps, work: Callable[[], object], parts: Mapping[str, float]) -> Measured:
    """Runs steps; `work` calls `steps.finished` after each. Too little memory is a result too."""
    steps.begin()
    try:
        work()
        device = steps.device
        peak, context = memory.peak_reserved(device), memory.context(device)
        return Measured(steps.seconds, steps.first, peak, parts, context, steps.grown)
    except TOO_LITTLE:
        return Measured([], parts=parts, note=OUT_OF_MEMORY)
    finally:
        gc.collect()


@dataclass(frozen=True)
class Row:
    """A line of the results.

    Attributes:
        who: "ours"; "released", the released step; "host", its TrainLoraNode; "whole", from pictures to saved
            files; "sampler", the stock KSampler; or "accuracy", a step of ours beside plain float32.
        configuration: of ours, or the settings of theirs; "before training" or "after training".
        stage: a key of STAGES, or several; "KSampler".
        size: name of the Size.
        pixels: side of the pictures.
        batch: samples a step.
        seconds: median of the timed steps; None where memory did not suffice.
        spread: the lowest and the highest of them.
        steps: how many were timed.
        first: seconds of the first step.
        before: seconds before the first step, the models loaded.
        parts: what `before` consists of.
        peak_reserved: bytes; None on a CPU.
        context: bytes that CUDA itself takes on top; None on a CPU.
        grown: bytes that live tensors took more after the last step than after the warm-up.
        tflop: model operations of a step in 10¹², nothing computed twice.
        throughput: TFLOP/s.
        of_ceiling: throughput in parts of the ceiling.
        ceiling: TFLOP/s of a large matrix product in the same run.
        accuracy: see `accuracy.compare`; None in all rows but these.
        note: see Measured.
        details: see Measured.
        about: device, what the transformer computed in, versions, command.
    """

    who: str
    configuration: str
    stage: str
    size: str
    pixels: int
    batch: int
    seconds: float | None
    spread: tuple[float, float] | None
    steps: int
    first: float | None
    before: float
    parts: Mapping[str, float]
    peak_reserved: int | None
    context: int | None
    grown: int | None
    tflop: float
    throughput: float | None
    of_ceiling: float | None
    ceiling: float
    accuracy: Mapping[str, float] | None
    note: str
    details: Mapping[str, Any]
    about: Mapping[str, str]


def row(
    named: Mapping[str, str],
    shape: Shape,
    flops: int,
    ceiling: float,
    m: Measured,
    about: Mapping[str, str],
    accuracy: Mapping[str, float] | None = None,
) -> Row:
    """A row from a run; `named` has who, configuration, stage and size."""
    median = statistics.median(m.seconds) if m.seconds else None
    throughput = flops / median / 1e12 if median else None
    return Row(
        **named,
        pixels=shape.pixels,
        batch=shape.batch,
        seconds=median,
        spread=(min(m.seconds), max(m.seconds)) if m.seconds else None,
        steps=len(m.seconds),
        first=m.first,
        before=sum(m.parts.values()),
        parts=m.parts,
        peak_reserved=m.peak_reserved,
        context=m.context,
        grown=m.grown,
        tflop=flops / 1e12,
        throughput=throughput,
        of_ceiling=throughput and throughput / ceiling,
        ceiling=ceiling,
        note=m.note,
        details=m.details,
        accuracy=accuracy,
        about={**about, "dtype": str(m.dtype).removeprefix("torch.")},
    )


def append(path: Path, line: Row) -> None:
    """Writes a row as a line of JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(_short(asdict(line)), ensure_ascii=False) + "\n")


def _short(value: Any) -> Any:
    """Five figures of every number."""
    if isinstance(value, dict):
        return {k: _short(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_short(v) for v in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value
