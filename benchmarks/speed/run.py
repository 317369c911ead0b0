"""Measure the speed and memory of our training beside the released step and the host's own trainer.

    pip install -r benchmarks/speed/requirements.txt
    COMFYUI_PATH=... python benchmarks/speed/run.py              # true shapes; on a CPU the rows that targets ask for
    COMFYUI_PATH=... python benchmarks/speed/run.py --small      # shows that it runs; no figure of it is a claim
    python benchmarks/speed/report.py                            # tables into README.md

Each contestant has a process of its own, which loads nothing that it does not need; at true shapes on a CPU each row
has one, in which glibc keeps freed memory, as torch does on a GPU, and takes it in large pages: what a process pays for
new ones is no contestant's. Rows go to results/speed.jsonl (small: build/speed/small.jsonl) as they are measured. A
row that fails costs no other.

Where a machine is lent for minutes, --budget SECONDS shares them among the contestants: no row begins later, rows of
this device that are in the file already are not measured again, and --out names another file.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE.parent), str(ROOT / "scripts"), str(ROOT / "tests")]

import pack  # noqa: E402

pack.load_pack()

import comfyui_version  # noqa: E402
import peft  # noqa: E402
import processors  # noqa: E402
import torch  # noqa: E402
from comfy import model_management  # noqa: E402

from speed import clock, counting  # noqa: E402
from speed.clock import Measured  # noqa: E402
from speed.kind import Kind  # noqa: E402
from speed.names import ON_A_PROCESSOR  # noqa: E402
from speed.network_alone import KINDS  # noqa: E402
from speed.sd3 import MEDIUM, SHORT_T5, SMALL  # noqa: E402
from speed.setup import Setup, Shape  # noqa: E402
from speed.stages import STAGES  # noqa: E402

RESULTS = HERE / "results" / "speed.jsonl"
CONTESTANTS = {
    "ours": "ours.Ours",
    "TrainLoraNode": "host_node.HostNode",
    "released": "released.Released",
    "whole run": "ours.WholeRun",
    "accuracy": "accuracy.Accuracy",
}
SPARE = 2**30
"""Bytes of a computer without a GPU that are left to others."""
KEPT = {"GLIBC_TUNABLES": f"glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold={2**40}:glibc.malloc.hugetlb=1"}
"""Has glibc keep all freed memory, in large pages; read as a process begins."""
BESIDE = ("ours", "TrainLoraNode", "released")
"""By name in the results; those that are compared. Each has `cases`, a stage and a setting a row, and `measure` for
a row and a shape."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is asked for; several contestants one after the other."""
    options, given = _options(arguments), list(sys.argv[1:] if arguments is None else arguments)
    if options.here:
        return _contest(options)
    everyone = list(CONTESTANTS if torch.cuda.is_available() or options.small else BESIDE)
    chosen = options.who or (everyone if options.kind == "sd3.5" else BESIDE[:2])
    processes = [process for who in chosen for process in _processes(who, options)]
    ends = time.monotonic() + (options.budget or 0)
    codes = [0]
    for number, process in enumerate(processes):
        share = (ends - time.monotonic()) / (len(processes) - number)
        own = ["--budget", f"{max(share, 1):.0f}"] if options.budget else []
        command = [sys.executable, __file__, *given, *own, *process, "--here"]
        codes.append(subprocess.run(command, env={**KEPT, **os.environ}, check=False).returncode)
    raise SystemExit(max(codes))


def _processes(who: str, options: argparse.Namespace) -> list[list[str]]:
    """Return the arguments of each process of a contestant."""
    if torch.cuda.is_available() or options.small:
        return [["--who", who]]
    rows = _cases(_contestant(who), who, options)
    return [["--who", who, "--stages", stage, "--settings", setting] for stage, setting in rows]


def _contestant(who: str) -> Any:
    module, name = CONTESTANTS[who].split(".")
    return getattr(importlib.import_module(f"speed.{module}"), name)


def _cases(contestant: Any, who: str, options: argparse.Namespace) -> list[tuple[str, str]]:
    """Return the stage and setting of each row that is asked for: of ours on a CPU what targets need, or is named."""
    asked = [(s, c) for s, c in contestant.cases() if s in (options.stages or [s]) and c in (options.settings or [c])]
    if who != "ours" or torch.cuda.is_available() or options.small or options.stages or options.settings:
        return asked
    return [case for case in asked if case in ON_A_PROCESSOR]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="small shapes")
    parser.add_argument(
        "--kind", choices=["sd3.5", *KINDS], default="sd3.5", help="of model; default: Stable Diffusion 3.5"
    )
    parser.add_argument(
        "--who", nargs="+", choices=list(CONTESTANTS), help="default: all; on a CPU those that are compared"
    )
    parser.add_argument("--stages", nargs="+", choices=list(STAGES), help="default: all")
    parser.add_argument("--settings", nargs="+", help="such as fast, small or bypass; default: all")
    parser.add_argument(
        "--shapes", nargs="+", metavar="PIXELSxBATCH", help="default: that of the targets, 512x2; 512x1 on a CPU"
    )
    parser.add_argument("--prepare", action="store_true", help="make masks and pool as a user's run does, and time it")
    parser.add_argument("--whole-steps", type=int, default=400, help="steps of each stage of a whole run")
    parser.add_argument("--budget", type=float, metavar="SECONDS", help="no row begins later; known rows are left out")
    parser.add_argument("--out", type=Path, help="file of the rows")
    parser.add_argument("--here", action="store_true", help="in this process, with its memory as it is")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "speed", help="of the checkpoint")
    return parser.parse_args(arguments)


def _contest(options: argparse.Namespace) -> None:
    began = time.monotonic()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    of_sd3 = SMALL if options.small else MEDIUM if device.type == "cuda" else SHORT_T5
    kind: Kind = KINDS.get(options.kind, of_sd3)
    (who,), failed = options.who, []
    setup = Setup(kind, device, options.folder, options.prepare, options.whole_steps)
    contestant = _contestant(who)(setup)
    common = {"ceiling": clock.ceiling(device, kind.dtype), "about": _about(device)}
    out = options.out or (options.folder / "small.jsonl" if options.small else RESULTS)
    known = known_rows(out, common["about"]) if options.budget else set()
    gc.collect()
    gc.freeze()  # what is loaded by now stays, and need not be looked at in every collection
    cases, shapes = _cases(contestant, who, options), _shapes(options, kind, device)
    for shape, (stage, setting) in itertools.product(shapes, cases):
        title = f"{who}, {stage}, {setting}, {shape.pixels} px x {shape.batch}"
        if title in known or (options.budget and time.monotonic() - began > options.budget):
            print(f"{title}: {'there already' if title in known else 'no time left'}", flush=True)
            continue
        try:
            setting, found = contestant.measure(stage, setting, shape)
            steps = options.whole_steps if who == "whole run" else 1
            line = {"who": who, "stage": stage, "setting": setting, **row(stage, kind, shape, steps, found), **common}
            line["title"] = title
            out.parent.mkdir(parents=True, exist_ok=True)
            with out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
            print(title, line["seconds"] or found.note or dict(found.accuracy), flush=True)
        except Exception:
            traceback.print_exc()
            failed.append(title)
            model_management.unload_all_models()
    gc.unfreeze()
    if failed:
        raise SystemExit("\n  ".join(["failed:", *failed]))


def _shapes(options: argparse.Namespace, kind: Kind, device: torch.device) -> Iterator[Shape]:
    """Yield the shapes that are asked for; small images take more steps."""
    slow = device.type == "cpu" and kind is not SMALL
    for text in options.shapes or [f"{kind.pixels[0]}x{1 if slow else 2}"]:
        pixels, batch = map(int, text.split("x"))
        yield Shape(pixels, batch, *((2, 3) if device.type == "cpu" else (3, 10) if pixels <= 512 else (2, 5)))


def known_rows(file: Path, about: object) -> set[str]:
    """Return the titles of a file's rows that were measured on the same device with the same versions."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    rows = [json.loads(line) for line in lines]
    return {r["title"] for r in rows if r["about"] == about and "title" in r}


def row(stage: str, kind: Kind, shape: Shape, steps: int, found: Measured) -> dict[str, Any]:
    """Return the figures as JSON takes them, with the median of the seconds and the operations of the model in 10¹²."""
    flops = sum(counting.step_flops(STAGES[s], kind, shape.pixels, shape.batch) for s in stage.split(", then "))
    figures = {**vars(found), "dtype": str(found.dtype), "each": found.seconds, "tflop": steps * flops / 1e12}
    figures["seconds"] = statistics.median(found.seconds) if found.seconds else None
    return {"size": kind.name, "pixels": shape.pixels, "batch": shape.batch, **figures}


def _about(device: torch.device) -> dict[str, str]:
    if device.type == "cuda":
        name = torch.cuda.get_device_name()
    else:
        name = f"CPU ({processors.name()}, threads: {torch.get_num_threads()})"
    versions = {"torch": torch.__version__, "peft": peft.__version__, "ComfyUI": comfyui_version.__version__}
    return {"device": name, **versions}


if __name__ == "__main__":
    if not torch.cuda.is_available():
        clock.keep_within(model_management.get_free_memory(torch.device("cpu")) - SPARE)
    main()
