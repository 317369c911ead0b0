"""The quickstart of today beside that of an earlier commit, on this machine: results/quickstart.md.

    COMFYUI_PATH=... python benchmarks/speed/quickstart.py [--before 43ec990] [--rounds 3] [--seeds 3]

Both sides run the workflow that they bundle through a server of their own, in turn, with their own code in folders of
their own; then each learns the robot with its quickstart's rate and steps and is measured by its own benchmark, whose
prompts are the same. Wants a machine with nothing else to do.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).resolve().parent / "results"
FIGURES = {
    "fidelity": "concept on the requested background",
    "leak": "confound, unnamed",
    "class": "concept for the class word",
    "follow": "prompt followed without it",
    "drift": "drift",
}


def timed(checkout: Path, work: Path) -> dict:
    """Runs the bundled quickstart of a checkout in a new server; returns steps and seconds. Runs in a process alone."""
    sys.path[:0] = [str(checkout / "scripts")]
    import quickstart
    import serving

    serving.link_pack(work, checkout)
    quickstart.ROOT = work  # what paths in the summary are relative to
    with serving.Server(Path(sys.executable), Path(os.environ["COMFYUI_PATH"]), work, cpu=True) as server:
        made = quickstart.run(server, checkout / "workflows" / "quickstart.json", work / "made", {})
    (stage,) = made["stages"].values()
    return {"steps": stage["steps"], "training": stage["seconds"], "whole": made["seconds"]}


def learned(checkout: Path, work: Path, steps: int, seed: int) -> dict:
    """Learns the robot as the checkout's quickstart does; returns its figures. Runs in a process alone."""
    sys.path[:0] = [str(checkout / "benchmarks" / "quality"), str(checkout / "scripts")]
    import torch
    from pack import load_pack

    torch.set_num_threads(1)
    load_pack()
    from bench import Budget, World
    from concepts import CONCEPTS
    from methods import METHODS
    from prompts import asked

    concept = CONCEPTS["robot"]
    record, _, _ = World(work).run(concept, METHODS["anchored"], seed, Budget(steps, (), True))
    curve = record["curve"]
    texts = [a.text for a in asked(concept)]
    return {"lr": record["lr"], "texts": texts, **{name: curve[max(curve)][name] for name in FIGURES}}


def child(*words: object) -> dict:
    """Calls one of the two above in a process of its own."""
    line = [sys.executable, __file__, *map(str, words)]
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(line)} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Compares, and writes the page and its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", default="43ec990", help="the commit to compare with")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()

    def git(*words: str) -> bytes:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=True).stdout

    with tempfile.TemporaryDirectory() as folder:
        sides = {}
        for name, commit in (("before", options.before), ("today", "HEAD")):
            sides[name] = Path(folder) / name
            with tarfile.open(fileobj=io.BytesIO(git("archive", commit))) as archive:
                archive.extractall(sides[name], filter="data")
        runs: dict[str, list[dict]] = {name: [] for name in sides}
        for number in range(options.rounds):
            for name, checkout in sides.items():
                runs[name].append(child("--timed", checkout, Path(folder) / f"{name} {number}"))
                print(name, runs[name][-1], flush=True)
        quality: dict[str, list[dict]] = {name: [] for name in sides}
        for seed in range(options.seeds):
            for name, checkout in sides.items():
                steps = runs[name][0]["steps"]
                quality[name].append(child("--learned", checkout, Path(folder) / f"{name} state", steps, seed))
                print(name, seed, {k: v for k, v in quality[name][-1].items() if k != "texts"}, flush=True)
    texts = [one.pop("texts") for made in quality.values() for one in made]
    if any(text != texts[0] for text in texts):
        raise SystemExit("The two benchmarks ask for different pictures: their figures cannot be compared.")
    commits = {"before": options.before, "today": git("rev-parse", "--short", "HEAD").decode().strip()}
    found = {"commits": commits, "cores": os.cpu_count(), "times": runs, "quality": quality}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "quickstart.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "quickstart.md").write_text(page(found), encoding="utf-8")
    print(page(found))


def page(found: dict) -> str:
    """The two tables."""
    lines = [
        "# The quickstart, then and now\n",
        f"`benchmarks/speed/quickstart.py`, on {found['cores']} CPU cores without a GPU, the two sides in turn; "
        "seconds as median (least to most).\n",
        "| commit | steps | training | whole workflow |",
        "|---|---|---|---|",
    ]
    for name, runs in found["times"].items():
        cells = []
        for key in ("training", "whole"):
            values = [run[key] for run in runs]
            cells.append(f"{median(values):.1f} s ({min(values):.1f} to {max(values):.1f})")
        lines.append(f"| {found['commits'][name]} ({name}) | {runs[0]['steps']} | {' | '.join(cells)} |")
    before, today = (median(run["training"] for run in found["times"][name]) for name in ("before", "today"))
    lines += [
        f"\nTraining takes {today / before:.2f} of what it took.\n",
        "What it learns of the robot, mean over seeds (each seed):\n",
        f"| commit | {' | '.join(FIGURES.values())} |",
        "|---" * (len(FIGURES) + 1) + "|",
    ]
    for name, made in found["quality"].items():
        cells = []
        for key in FIGURES:
            values = [one[key] for one in made]
            cells.append(f"{sum(values) / len(values):.3g} ({', '.join(f'{v:.3g}' for v in values)})")
        lines.append(f"| {found['commits'][name]} ({name}) | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--timed"]:
        print(json.dumps(timed(Path(sys.argv[2]), Path(sys.argv[3]))))
    elif sys.argv[1:2] == ["--learned"]:
        print(json.dumps(learned(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))))
    else:
        main()
