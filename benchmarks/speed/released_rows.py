"""Measures the released step: its seconds, the transformers' share beside bare calls of their class, a profile."""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from speed import clock, memory
from speed import released_models as parts
from speed.measured import Measured, Shape, attempted
from speed.released import TOKENS, ReleasedStep
from speed.sizes import Size
from speed.targets import RATIO

CALLS = ("trained forward", "frozen forward", "backward")
"""The parts of a step in which the transformers are at work."""

FORWARD, LATENTS, ADAPTED = "forward", "forward and backward", "forward and backward with an adapter"
"""Calls of their class alone: without an adapter, to the latents; and with the step's, to its weights."""


def measure(
    size: Size,
    device: torch.device,
    shapes: Sequence[Shape],
    wanted: Callable[[str, Shape], bool],
    table: Path | None = None,
) -> Iterator[tuple[str, Shape, Measured]]:
    """The rows that are wanted, with passes apart and joined, as (settings, shape, run).

    A profile of a step at the first shape goes to `table`.
    """
    calls = bare(size, device, shapes)
    step = ReleasedStep(size, device)
    for shape in shapes:
        for settings, joined in (("passes apart", False), ("passes joined", True)):
            if not wanted(settings, shape):
                continue
            step.joined = joined
            found = _run(step, shape)
            if found.note:  # it must
                step.trained.enable_gradient_checkpointing()
                found, settings = _run(step, shape), f"{settings}, checkpointed"
                step.trained.disable_gradient_checkpointing()
            if found.seconds and calls[shape]:
                found = replace(found, details=beside(found.details, calls[shape]))
            yield settings, shape, found
    step.joined = False
    if table is not None:
        table.parent.mkdir(parents=True, exist_ok=True)
        table.write_text(_profiled(step, shapes[0]), encoding="utf-8")
    del step
    gc.collect()
    memory.forget_peak(device)


def bare(size: Size, device: torch.device, shapes: Sequence[Shape]) -> dict[Shape, dict[str, float]]:
    """Seconds of a call of the transformer's class alone; a shape for which memory does not suffice has none."""
    network = parts.transformer(size, device)
    out: dict[Shape, dict[str, float]] = {shape: {} for shape in shapes}
    for kind in (FORWARD, LATENTS, ADAPTED):
        if kind == ADAPTED:
            parts.add_lora(network, size)
        for shape in shapes:
            try:
                call = _calling(network, kind, size, device, shape)
                out[shape][kind] = clock.median_seconds(device, call, shape.warmup, shape.timed)
            except torch.OutOfMemoryError:
                network.zero_grad(set_to_none=True)
    network = call = None
    gc.collect()
    memory.forget_peak(device)
    return {shape: calls if ADAPTED in calls else {} for shape, calls in out.items()}


def _calling(network, kind: str, size: Size, device: torch.device, shape: Shape) -> Callable[[], None]:
    """A call on random inputs, with its backward pass or without gradient."""
    random = functools.partial(torch.randn, device=device, dtype=size.dtype)
    x = random(shape.batch, 16, shape.pixels // 8, shape.pixels // 8, requires_grad=kind == LATENTS)
    given = {
        "timestep": torch.full((shape.batch,), 500.0, device=device),
        "encoder_hidden_states": random(shape.batch, 2 * TOKENS, network.config.joint_attention_dim),
        "pooled_projections": random(shape.batch, network.config.pooled_projection_dim),
        "return_dict": False,
    }

    def call() -> None:
        with torch.set_grad_enabled(kind != FORWARD):
            v = network(x, **given)[0]
            if kind != FORWARD:
                v.float().square().mean().backward()

    return call


def beside(details: dict[str, float], call: dict[str, float]) -> dict[str, float]:
    """The parts of a step with those of bare calls, and the transformers' time in parts of as many bare calls.

    The trained transformer's two calls have the adapter and the frozen one's have none, as in the step.
    """
    spent = sum(details[name] for name in CALLS)
    ratios = {
        RATIO: spent / (2 * call[FORWARD] + 2 * call[ADAPTED]),
        "frozen / bare": details["frozen forward"] / call[FORWARD] / 2,
        "an adapter's share": call[ADAPTED] / call[LATENTS] - 1,
    }
    return {**details, **{f"bare {k}": v for k, v in call.items()}, **ratios}


def _run(step: ReleasedStep, shape: Shape) -> Measured:
    steps, laps = clock.Steps(step.device, shape.warmup, shape.timed), []

    def work() -> None:
        for _ in range(steps.total):
            laps.append(clock.Laps(step.device))
            step(shape.pixels, shape.batch, laps[-1])
            steps.finished()

    found = replace(attempted(steps, work, {}), dtype=step.dtype)
    if found.note:
        step.optimiser.zero_grad(set_to_none=True)
        return found
    return replace(found, details=clock.medians(laps[shape.warmup :]))


def _profiled(step: ReleasedStep, shape: Shape) -> str:
    kinds, order = [ProfilerActivity.CPU], "self_cpu_time_total"
    if step.device.type == "cuda":
        kinds, order = [*kinds, ProfilerActivity.CUDA], "self_cuda_time_total"
    with profile(activities=kinds) as profiler:
        step(shape.pixels, shape.batch)
    return profiler.key_averages().table(sort_by=order, row_limit=40, max_name_column_width=60)
