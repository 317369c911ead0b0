"""Show where the time of a step goes, by kind of operation: results/profile.md.

    COMFYUI_PATH=... python benchmarks/speed/profiling.py [--stages "plain LoRA, all blocks"] [--small]

The second step of a run of ours, as `run.py` makes it, under PyTorch's profiler.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE.parent), str(ROOT / "scripts"), str(ROOT / "tests")]

import pack  # noqa: E402

pack.load_pack()

import processors  # noqa: E402
import torch  # noqa: E402
from torch.profiler import ProfilerActivity, profile  # noqa: E402

from speed import clock, counting  # noqa: E402
from speed.kind import Kind  # noqa: E402
from speed.names import ALL_BLOCKS, AS_RELEASED  # noqa: E402
from speed.ours import Listener, Ours  # noqa: E402
from speed.sd3 import SHORT_T5, SMALL  # noqa: E402
from speed.setup import Setup  # noqa: E402
from speed.stages import CONFIGURATIONS, STAGES  # noqa: E402

KINDS: dict[str, Sequence[str]] = {
    "products of matrices": ("mm", "bmm", "linear", "convolution"),
    "attention": ("attention",),
    "casts and copies": ("copy_", "_to_copy", "clone", "cat", "contiguous", "fill_", "zero_"),
    "norms": ("norm",),
    "activations": ("gelu", "silu", "sigmoid"),
    "sums, products and the like": ("add", "mul", "sum", "sub", "div", "pow", "mean", "neg"),
}
"""What the names of operations hold, the first that fits; what fits nowhere is "the rest"."""
REST = "the rest"
MANY = 12


class Operation(NamedTuple):
    """An operation of a step: its name, how often it ran, and seconds in itself alone."""

    name: str
    times: int
    seconds: float


def kind(name: str) -> str:
    """Return the kind of an operation."""
    return next((k for k, parts in KINDS.items() if any(part in name for part in parts)), REST)


def by_kind(operations: Iterable[Operation]) -> dict[str, float]:
    """Return the seconds of each kind, in the order of `KINDS`."""
    out = dict.fromkeys((*KINDS, REST), 0.0)
    for operation in operations:
        out[kind(operation.name)] += operation.seconds
    return out


def second_step(ours: Ours, stage: str, pixels: int) -> tuple[float, list[Operation]]:
    """Return the seconds of the second step of a run with one sample a step, and its operations."""
    profiler = profile(activities=[ProfilerActivity.CPU])
    ends: list[float] = []

    def on_step(step) -> None:
        ends.append(time.perf_counter())
        profiler.__enter__() if len(ends) == 1 else profiler.__exit__(None, None, None)

    listener = Listener(ours.setup.device, on_step)
    dataset, _ = ours.dataset(pixels)
    ours.run(stage, CONFIGURATIONS["fast"], dataset, listener, ours.theta1(stage), steps=2, batch=1)
    found = [Operation(e.key, e.count, e.self_cpu_time_total / 1e6) for e in profiler.key_averages()]
    return ends[1] - ends[0], [operation for operation in found if operation.seconds > 0]


def page(model: Kind, ceiling: float, found: Mapping[str, tuple[float, list[Operation]]]) -> str:
    """Return the page: a table by kind, and the longest operations of each stage."""
    pixels = model.pixels[0]
    text = [
        "# Where the time of a step goes\n",
        f"`benchmarks/speed/profiling.py` on {processors.name()}, {torch.get_num_threads()} thread, torch "
        f"{torch.__version__}: {model.name}, {pixels} px, one sample a step, *fast*, the second step under PyTorch's "
        f"profiler. A large product of matrices reaches {ceiling:.3g} TFLOP/s.\n",
    ]
    for stage, (seconds, operations) in found.items():
        least = counting.step_flops(STAGES[stage], model, pixels, 1) / 1e12 / ceiling
        text += [f"## {stage}\n", f"{seconds:.3g} s; at the ceiling its passes would take {least:.3g} s.\n"]
        text += ["| kind | s | of the step |\n|---|---|---|"]
        text += [f"| {name} | {s:.3g} | {s / seconds:.0%} |" for name, s in by_kind(operations).items()]
        text += [f"| all operations | {sum(o.seconds for o in operations):.3g} | |", ""]
        text += ["| operation | kind | times | s |\n|---|---|---|---|"]
        longest = sorted(operations, key=lambda o: -o.seconds)[:MANY]
        text += [f"| `{o.name}` | {kind(o.name)} | {o.times} | {o.seconds:.3g} |" for o in longest]
        text += [""]
    return "\n".join(text)


def main(arguments: Sequence[str] | None = None) -> None:
    """Profile what is asked for and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", nargs="+", choices=list(STAGES), default=[ALL_BLOCKS, AS_RELEASED])
    parser.add_argument("--small", action="store_true", help="small shapes: shows that it runs")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "speed", help="of the checkpoint")
    parser.add_argument("--page", type=Path, default=HERE / "results" / "profile.md")
    options = parser.parse_args(arguments)
    model, device = SMALL if options.small else SHORT_T5, torch.device("cpu")
    ours = Ours(Setup(model, device, options.folder))
    found = {stage: second_step(ours, stage, model.pixels[0]) for stage in options.stages}
    text = page(model, clock.ceiling(device, model.dtype), found)
    options.page.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
