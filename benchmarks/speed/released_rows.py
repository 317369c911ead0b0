"""Measures the released step: its seconds, the transformers' share beside bare calls of their class, a profile."""

from __future__ import annotations

import functools
import gc
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from speed import clock
from speed import released_models as parts
from speed.measured import Measured, Shape, attempted
from speed.released import TOKENS, ReleasedStep
from speed.sizes import Size

CALLS = ("trained forward", "frozen forward", "backward")
"""The parts of a step in which the transformers are at work."""

BARE = ("forward", "forward and backward")
"""Calls of their class alone that these are held against: two of each for a step."""


def measure(
    size: Size, device: torch.device, shapes: Sequence[Shape], table: Path
) -> Iterator[tuple[str, Shape, Measured]]:
    """Every shape with passes apart and joined, as (settings, shape, run); a profile of the first goes to `table`."""
    calls = bare(size, device, shapes)
    step = ReleasedStep(size, device)
    for shape in shapes:
        for settings, joined in (("passes apart", False), ("passes joined", True)):
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
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text(_profiled(step, shapes[0]), encoding="utf-8")
    del step
    gc.collect()
    clock.forget_peak(device)


def bare(size: Size, device: torch.device, shapes: Sequence[Shape]) -> dict[Shape, dict[str, float]]:
    """Seconds of a call of the transformer's class alone, with no adapter: forward, and forward and backward.

    A shape for which memory does not suffice has none.
    """
    network, out = parts.transformer(size, device), {}
    for shape in shapes:
        try:
            calls = {k: _calling(network, k != "forward", size, device, shape) for k in BARE}
            out[shape] = {k: clock.median_seconds(device, c, shape.warmup, shape.timed) for k, c in calls.items()}
        except torch.OutOfMemoryError:
            out[shape] = {}
    network = calls = None
    gc.collect()
    clock.forget_peak(device)
    return out


def _calling(network, backward: bool, size: Size, device: torch.device, shape: Shape) -> Callable[[], None]:
    """A call on random inputs, with its backward pass to the latents or without gradient."""
    random = functools.partial(torch.randn, device=device, dtype=size.dtype)
    x = random(shape.batch, 16, shape.pixels // 8, shape.pixels // 8, requires_grad=backward)
    given = {
        "timestep": torch.full((shape.batch,), 500.0, device=device),
        "encoder_hidden_states": random(shape.batch, 2 * TOKENS, network.config.joint_attention_dim),
        "pooled_projections": random(shape.batch, network.config.pooled_projection_dim),
        "return_dict": False,
    }

    def call() -> None:
        with torch.set_grad_enabled(backward):
            v = network(x, **given)[0]
            if backward:
                v.float().square().mean().backward()

    return call


def beside(details: dict[str, float], call: dict[str, float]) -> dict[str, float]:
    """The parts of a step with those of bare calls, and the transformers' time in parts of as many bare calls."""
    spent = sum(details[name] for name in CALLS)
    calls = 2 * call["forward"] + 2 * call["forward and backward"]
    ratios = {
        "transformers / bare calls": spent / calls,
        "frozen / bare": details["frozen forward"] / call["forward"] / 2,
    }
    return {**details, **{f"bare {k}": v for k, v in call.items()}, **ratios}


def _run(step: ReleasedStep, shape: Shape) -> Measured:
    steps, laps = clock.Steps(step.device, shape.warmup, shape.timed), []

    def work() -> None:
        for _ in range(steps.total):
            laps.append(clock.Laps(step.device))
            step(shape.pixels, shape.batch, laps[-1])
            steps.finished()

    found = attempted(steps, work, {})
    if found.note:
        step.optimiser.zero_grad(set_to_none=True)
        return found
    sums = []
    for lap in laps[shape.warmup :]:
        parts_of_one: dict[str, float] = {}
        for name, seconds in lap.named:
            parts_of_one[name] = parts_of_one.get(name, 0.0) + seconds
        sums.append(parts_of_one)
    return replace(found, details={name: statistics.median(s[name] for s in sums) for name in sums[0]})


def _profiled(step: ReleasedStep, shape: Shape) -> str:
    kinds, order = [ProfilerActivity.CPU], "self_cpu_time_total"
    if step.device.type == "cuda":
        kinds, order = [*kinds, ProfilerActivity.CUDA], "self_cuda_time_total"
    with profile(activities=kinds) as profiler:
        step(shape.pixels, shape.batch)
    return profiler.key_averages().table(sort_by=order, row_limit=40, max_name_column_width=60)
