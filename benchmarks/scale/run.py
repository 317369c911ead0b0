"""Time concepts of the embedded base in one process and in two: python benchmarks/scale/run.py (any machine, no GPU).

Adds rows to results/processes.jsonl: eight concepts by one process and by two that share the queue, and one concept
with a batch of 4 by one process and by two that train it together. Every process has one thread. A row has the wall
time, the processor time of all processes, which others that use the machine disturb less, and the load around it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE.parent), str(HERE), str(ROOT / "scripts")]

import pack  # noqa: E402

pack.load_pack()

import serving  # noqa: E402
from machine import machine  # noqa: E402
from safetensors import safe_open  # noqa: E402

TRAINER = "PureCCPureLearning"
LAUNCH = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1"]
LAUNCH += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0", "--num_processes", "2"]


def graph(steps: int) -> dict[str, Any]:
    """Return the smallest workflow that trains, by anchored learning at the node's other defaults, unwatched."""
    values = pack.widget_defaults(TRAINER)
    values |= {"dataset": ["3", 0], "model": ["1", 0], "clip": ["1", 1], "steps": steps, "sample_every": 0}
    values |= {"drift_every": 0, "drift_prompts": "", "cache": False, "pool_images": 8}
    dataset = {"images": ["2", 0], "captions": ["2", 1], "vae": ["1", 2], "class_word": "robot", "kind": "instance"}
    return {
        "1": {"class_type": "PureCCTinyCheckpoint", "inputs": {}},
        "2": {"class_type": "PureCCImageFolder", "inputs": {"folder": "robots"}},
        "3": {
            "class_type": "PureCCConceptDataset",
            "inputs": dataset | {"resolution": 96, "crop": "center", "flip": False, "crops": 0},
        },
        "4": {"class_type": TRAINER, "inputs": values},
        "5": {"class_type": "PureCCSaveAdapter", "inputs": {"adapter": ["4", 0], "overwrite": True}},
    }


def timed(folder: Path, processes: int, arguments: Sequence[str]) -> dict[str, Any]:
    """Run train.py in a folder and return what it took."""
    row: dict[str, Any] = {"processes": processes, **machine()}
    start = [sys.executable] if processes == 1 else LAUNCH
    command = [*start, str(ROOT / "scripts" / "train.py"), str(folder / "graph.json"), "--cpu"]
    command += ["--base", str(folder / "base"), "--out", str(folder / "out"), *arguments]
    environment = os.environ | {"PURECC_HEADLESS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    shutil.rmtree(folder / "out", ignore_errors=True)
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, env=environment, check=True, stdout=sys.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    row["wall seconds"] = round(time.perf_counter() - began, 1)
    row["processor seconds"] = round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1)
    row["load after"] = [round(value, 2) for value in os.getloadavg()]
    return row


def many(folder: Path, processes: int, steps: int) -> dict[str, Any]:
    """Time eight concepts."""
    lines = [f"c{k},robots,{k}" for k in range(8)]
    (folder / "table.csv").write_text("\n".join(["name,folder,4.seed", *lines]) + "\n")
    row = timed(folder, processes, ["--concepts", str(folder / "table.csv"), "--set", f"4.steps={steps}"])
    entries = json.loads((folder / "out" / "report.json").read_text())["concepts"]
    assert {entry["state"] for entry in entries.values()} == {"done"} and len(entries) == 8
    seconds = [entry["seconds"] for entry in entries.values()]
    return {"what": "eight concepts", "steps": steps, **row, "seconds of each concept": seconds}


def one(folder: Path, processes: int, steps: int) -> dict[str, Any]:
    """Time one concept with a batch of 4 in all."""
    batch = 4 // processes
    row = timed(folder, processes, ["--set", f"4.steps={steps}", "--set", f"4.batch_size={batch}"])
    (path,) = (folder / "out" / "loras").glob("*.safetensors")
    with safe_open(path, "pt") as file:
        report = json.loads(file.metadata()["purecc.report"])
    bytes_written = {one.parent.name: one.stat().st_size for one in (folder / "out").glob("*/*.safetensors")}
    row |= {"seconds of the steps": report["seconds"], "bytes": bytes_written, "peak": _peak()}
    return {"what": "one concept, batch 4 in all", "steps": steps, **row}


def _peak() -> int:
    """Return the most memory of any process so far, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss


def main() -> None:
    """Measure and write the rows."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=100, help="of each of eight concepts, and of the one")
    parser.add_argument("--only", choices=["many", "one"])
    options = parser.parse_args()
    results = HERE / "results" / "processes.jsonl"
    results.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        serving.link_pack(folder / "base")
        shutil.copytree(ROOT / "purecc" / "tiny" / "concept", folder / "base" / "input" / "robots")
        (folder / "graph.json").write_text(json.dumps(graph(options.steps)))
        for measure in (many, one):
            if options.only in (None, measure.__name__):
                for processes in (1, 2):
                    row = measure(folder, processes, options.steps)
                    with results.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(row) + "\n")
                    print(json.dumps(row))


if __name__ == "__main__":
    main()
