"""What fast and small paths do to what is learned, on the embedded base: results/embedded.md.

    COMFYUI_PATH=... python benchmarks/speed/embedded.py [--seeds 3] [--ways bfloat16 ...]

Every way trains the robot of the quality benchmark as the quickstart does, with the same seeds, and is measured as
there. A way and a seed that have a row in results/embedded.jsonl are not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "quality"), str(ROOT / "scripts")]

if "purecc_pack" not in sys.modules:
    import pack

    pack.load_pack()

import comfy.sd  # noqa: E402
from bench import Budget, World  # noqa: E402
from concepts import CONCEPTS  # noqa: E402
from methods import METHODS  # noqa: E402

from purecc_pack.purecc.host.tiny import CHECKPOINT  # noqa: E402
from speed.quickstart import FIGURES  # noqa: E402

WAYS = {
    "plain float32": {"precision": "float32", "checkpointing": "off"},
    "every block twice, one sample a pass": {"precision": "float32", "checkpointing": "all", "pass_limit": 1},
    "bfloat16": {"precision": "bfloat16"},
    "fp8 weights": {"fp8": True},
}
"""By name, what differs from the plain path; "fp8" is how the stock loader keeps weights, which are cast as used."""

BUDGET = Budget(100, (), True)
ROWS, PAGE = HERE / "results" / "embedded.jsonl", HERE / "results" / "embedded.md"


def learned(way: str, seed: int, budget: Budget = BUDGET, state: Path = ROOT / "build" / "speed" / "embedded") -> dict:
    """A row: what one way learns with one seed."""
    values = dict(WAYS[way])
    world = World(state / values.get("precision", "fp8"))
    if values.pop("fp8", False):
        load = comfy.sd.load_checkpoint_guess_config
        options = {"dtype": torch.float8_e4m3fn}
        world.model = load(str(CHECKPOINT), output_vae=False, output_clip=False, model_options=options)[0]
    limit = values.pop("pass_limit", None)

    def ready(job):
        return replace(job, **values, settings=replace(job.settings, pass_limit=limit))

    record, _, _ = world.run(CONCEPTS["robot"], METHODS["anchored"], seed, budget, ready=ready)
    last = record["curve"][budget.steps]
    return {"way": way, "seed": seed, "steps": budget.steps, **{name: last[name] for name in FIGURES}}


def page(rows: Sequence[dict]) -> str:
    """The table."""
    lines = [
        "# Fast and small paths, and what is learned\n",
        "`benchmarks/speed/embedded.py`: the robot of the quality benchmark, *anchored*, "
        f"{rows[0]['steps']} steps, on a CPU; the mean over seeds (each seed). Weights in fp8 are a rounded base, "
        "which on a CPU computes in float32.\n",
        f"| way | {' | '.join(FIGURES.values())} |",
        "|---" * (len(FIGURES) + 1) + "|",
    ]
    for way in WAYS:
        own = sorted((r for r in rows if r["way"] == way), key=lambda r: r["seed"])
        if own:
            each = [[r[name] for r in own] for name in FIGURES]
            cells = [f"{sum(v) / len(v):.3g} ({', '.join(f'{x:.3g}' for x in v)})" for v in each]
            lines.append(f"| {way} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Runs what is missing, and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=list(WAYS))
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    ROWS.parent.mkdir(exist_ok=True)
    for way in options.ways:
        for seed in range(options.seeds):
            if any((r["way"], r["seed"]) == (way, seed) for r in _rows()):
                continue
            row = learned(way, seed)
            with ROWS.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(row, flush=True)
    PAGE.write_text(page(_rows()), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))


def _rows() -> list[dict]:
    return [json.loads(line) for line in ROWS.read_text(encoding="utf-8").splitlines()] if ROWS.is_file() else []


if __name__ == "__main__":
    main()
