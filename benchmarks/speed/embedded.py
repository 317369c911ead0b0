"""Train the embedded base by fast and small paths and measure what is learned: results/embedded.md.

    COMFYUI_PATH=... python benchmarks/speed/embedded.py [--seeds 3] [--ways bfloat16 ...]

Each way trains the robot of the quality benchmark as the quickstart does, with the same seeds and figures. Rows that
results/embedded.jsonl has are not run again.
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

import pack  # noqa: E402

pack.load_pack()

import comfy.sd  # noqa: E402
from bench import Budget, World  # noqa: E402
from concepts import CONCEPTS  # noqa: E402
from methods import METHODS  # noqa: E402

from purecc_pack.purecc.host.models.tiny import CHECKPOINT  # noqa: E402

WAYS: dict[str, dict] = {
    "plain float32": {"precision": "float32", "checkpointing": "off"},
    "every block twice, one sample a pass": {"precision": "float32", "checkpointing": "all", "pass_limit": 1},
    "bfloat16": {"precision": "bfloat16"},
    "fp8 weights": {"fp8": True},
}
"""What differs from the defaults: fields of the job's memory, weights in fp8 by the stock loader."""
FIGURES = {"fidelity": "concept on the requested background", "leak": "confound, unnamed"}
FIGURES |= {"class": "concept for the class word", "follow": "prompt followed without it", "drift": "drift"}
BUDGET = Budget(100, (), True)
ROWS, PAGE = HERE / "results" / "embedded.jsonl", HERE / "results" / "embedded.md"


def learned(way: str, seed: int, budget: Budget = BUDGET, state: Path = ROOT / "build" / "speed" / "embedded") -> dict:
    """Return a row: what one way learns with one seed."""
    values = dict(WAYS[way])
    world = World(state / values.get("precision", "fp8"))
    if values.pop("fp8", False):
        options = {"output_vae": False, "output_clip": False, "model_options": {"dtype": torch.float8_e4m3fn}}
        model = comfy.sd.load_checkpoint_guess_config(str(CHECKPOINT), **options)[0]
        world.models = replace(world.models, model=model)

    def ready(job):
        return replace(job, memory=replace(job.memory, **values))

    record, _, _ = world.run(CONCEPTS["robot"], METHODS["anchored"], seed, budget, ready=ready)
    last = record["curve"][budget.steps]
    return {"way": way, "seed": seed, "steps": budget.steps, **{name: last[name] for name in FIGURES}}


def page(rows: Sequence[dict]) -> str:
    """Return the table."""
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
    """Run what is missing, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=list(WAYS))
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    rows = [json.loads(line) for line in ROWS.read_text("utf-8").splitlines()] if ROWS.is_file() else []
    for way in options.ways:
        for seed in set(range(options.seeds)) - {r["seed"] for r in rows if r["way"] == way}:
            rows.append(learned(way, seed))
            with ROWS.open("a", encoding="utf-8") as file:
                file.write(json.dumps(rows[-1]) + "\n")
            print(rows[-1], flush=True)
    PAGE.write_text(page(rows), encoding="utf-8")
    print(page(rows))


if __name__ == "__main__":
    main()
