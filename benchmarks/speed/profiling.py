"""Show where the time of a step goes, by kind of operation: results/profile.md.

    export GLIBC_TUNABLES=glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=1099511627776:glibc.malloc.hugetlb=1
    COMFYUI_PATH=... python benchmarks/speed/profiling.py [--stages "plain LoRA, all blocks"] [--small]

A step of a run of ours, and of TrainLoraNode in bypass mode, as `run.py` makes them, under PyTorch's profiler. The two
settings have glibc keep freed memory, in large pages: what a process pays for new pages is not any operation's.
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
from speed.host_node import HostNode  # noqa: E402
from speed.kind import Kind  # noqa: E402
from speed.names import ALL_BLOCKS, AS_RELEASED  # noqa: E402
from speed.ours import Listener, Ours  # noqa: E402
from speed.sd3 import SHORT_T5, SMALL  # noqa: E402
from speed.setup import Setup, Shape  # noqa: E402
from speed.stages import CONFIGURATIONS, STAGES  # noqa: E402

KINDS: dict[str, Sequence[str]] = {
    "attention": ("attention", "bmm", "softmax"),
    "products of matrices": ("mm", "linear", "convolution"),
    "casts and copies": ("copy_", "_to_copy", "clone", "cat", "contiguous", "fill_", "zero_"),
    "norms": ("norm",),
    "activations": ("gelu", "silu", "sigmoid"),
    "sums, products and the like": ("add", "mul", "sum", "sub", "div", "pow", "mean", "neg"),
}
"""What the names of operations hold, the first that fits; what fits nowhere is "the rest". These networks multiply
batches of matrices and take softmax in attention alone."""
REST = "the rest"
MANY = 12
WARMUP = 3
"""Steps before the one that is profiled: new pages are taken in these."""
HOSTS = "TrainLoraNode, bypass"


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


class Watch:
    """Profiles the step after `WARMUP` others; `finished` is called after each, with whatever the caller gives."""

    def __init__(self) -> None:
        self._profiler = profile(activities=[ProfilerActivity.CPU])
        self._ends: list[float] = []

    def finished(self, *_: object) -> None:
        """Take note of a finished step."""
        self._ends.append(time.perf_counter())
        if len(self._ends) == WARMUP:
            self._profiler.__enter__()
        elif len(self._ends) == WARMUP + 1:
            self._profiler.__exit__(None, None, None)

    @property
    def found(self) -> tuple[float, list[Operation]]:
        """The seconds of the step, and its operations."""
        each = [Operation(e.key, e.count, e.self_cpu_time_total / 1e6) for e in self._profiler.key_averages()]
        return self._ends[WARMUP] - self._ends[WARMUP - 1], [operation for operation in each if operation.seconds > 0]


def of_ours(setup: Setup, stages: Sequence[str]) -> dict[str, tuple[float, list[Operation]]]:
    """Return the seconds of a step of each stage with one sample, and its operations."""
    ours, out = Ours(setup), {}
    for stage in stages:
        watch = Watch()
        dataset, _ = ours.dataset(setup.kind.pixels[0])
        listener, theta1 = Listener(setup.device, watch.finished), ours.theta1(stage)
        ours.run(stage, CONFIGURATIONS["fast"], dataset, listener, theta1, steps=WARMUP + 1, batch=1)
        out[stage] = watch.found
    return out


def of_host(setup: Setup) -> tuple[float, list[Operation]]:
    """Return the same of TrainLoraNode in bypass mode."""
    watch = Watch()
    HostNode(setup).train(True, Shape(setup.kind.pixels[0], 1, WARMUP, 1), watch.finished)
    return watch.found


def page(model: Kind, ceiling: float, found: Mapping[str, tuple[float, list[Operation]]]) -> str:
    """Return the page: a table by kind, and the longest operations of each stage."""
    pixels = model.pixels[0]
    text = [
        "# Where the time of a step goes\n",
        f"`benchmarks/speed/profiling.py` on {processors.name()}, {torch.get_num_threads()} thread, torch "
        f"{torch.__version__}: {model.name}, {pixels} px, one sample a step, *fast*, step {WARMUP + 1} under PyTorch's "
        f"profiler. A large product of matrices reaches {ceiling:.3g} TFLOP/s.\n",
    ]
    for stage, (seconds, operations) in found.items():
        least = counting.step_flops(STAGES.get(stage, STAGES[ALL_BLOCKS]), model, pixels, 1) / 1e12 / ceiling
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
    setup = Setup(model, device, options.folder)
    found = {HOSTS: of_host(setup), **of_ours(setup, options.stages)}
    text = page(model, clock.ceiling(device, model.dtype), found)
    options.page.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
