"""Run a workflow without a server or a browser, for one concept or for a table of them.

    python3 scripts/train.py WORKFLOW.json [--set NODE.INPUT=VALUE ...] [--concepts TABLE.csv] [--out DIR]

The workflow is what the front end's Save or Export (API) writes. The table has a line for each concept:
`name,folder,class_word,kind` and any other input as `NODE.INPUT`. What all concepts share, such as the base model, is
loaded once. A concept that is done is left out by a second call; one that fails costs no other. Ctrl-C stops after the
current step and keeps the adapter; a second Ctrl-C cancels.

Exit code: 0 all done, 1 a concept failed, 2 the workflow or table cannot be used, 130 stopped by Ctrl-C.
"""

import argparse
import copy
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import concept_table
import host
import source
from client import ExecutionError, Interrupted, PromptError
from concept_table import Row, TableError
from progress import Progress
from workflow import WorkflowError

READY = "PURECC_HEADLESS"
REPORT = "report.json"


class Stopper:
    """Counts Ctrl-C: the first stops training and keeps the result, the second cancels."""

    def __init__(self, comfy):
        self._comfy = comfy
        self.asked = 0

    def __call__(self, *_) -> None:
        """Take one Ctrl-C."""
        self.asked += 1
        if self.asked == 1:
            host.say("\nStopping after the current step; Ctrl-C again cancels.")
            self._comfy.stop()
        else:
            self._comfy.interrupt()


class Report:
    """The JSON report of a folder: an entry for each concept, written after each.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path):
        self._path = path
        self.concepts: dict[str, dict] = {}
        if path.is_file():
            self.concepts = json.loads(path.read_text(encoding="utf-8"))["concepts"]

    def done(self, name: str, prompt: dict) -> bool:
        """Return whether this concept is done by this very prompt, and its files are still there."""
        entry = self.concepts.get(name, {})
        same = entry.get("state") == "done" and entry.get("prompt") == prompt
        return same and all(Path(file).is_file() for file in entry["files"])

    def write(self, name: str, entry: dict) -> None:
        """Add or replace an entry."""
        self.concepts[name] = entry
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps({"concepts": self.concepts}, indent=1, ensure_ascii=False), encoding="utf-8")
        new.replace(self._path)


def train(comfy, saved: dict, rows: list[Row], assignments: dict[str, Any], out: Path) -> int:
    """Run the workflow for each row and return the exit code."""
    base, titles = concept_table.prompt_of(saved, comfy.object_info)
    prompts = {}
    for row in rows:
        prompts[row.name] = prompt = copy.deepcopy(base)
        if row.name:
            concept_table.call(prompt, row.name)
        concept_table.fill(prompt, titles, assignments | row.values)
    comfy.folders(out)
    report, stopper = Report(out / REPORT), Stopper(comfy)
    signal.signal(signal.SIGINT, stopper)
    for number, (name, prompt) in enumerate(prompts.items(), start=1):
        called = name or ", ".join(concept_table.names(prompt))
        if report.done(called, prompt):
            host.say(f"{called}: done before")
            continue
        host.say(f"{called} ({number} of {len(prompts)})")
        report.write(called, one(comfy, prompt, saved, titles, out, stopper))
        if stopper.asked:
            return 130
    states = [report.concepts[name or ", ".join(concept_table.names(prompts[name]))]["state"] for name in prompts]
    host.say(f"{states.count('done')} of {len(states)} done. The report is in {out / REPORT}")
    return 0 if set(states) == {"done"} else 1


def one(comfy, prompt: dict, saved: dict, titles: dict[str, str], out: Path, stopper: Stopper) -> dict:
    """Run one prompt and return its entry of the report."""
    info = comfy.nodes
    shown = {key: titles.get(key) or getattr(info[node["class_type"]], "DISPLAY_NAME", node["class_type"])
             for key, node in prompt.items()}  # fmt: skip
    progress, began = Progress(shown), time.time()
    entry: dict[str, Any] = {"state": "done", "prompt": prompt}
    try:
        comfy.run(copy.deepcopy(prompt), saved if "nodes" in saved else None, progress)  # the host writes into it
    except (ExecutionError, PromptError) as error:
        entry |= {"state": "failed", "error": str(error)}
        host.say(f"  failed: {error}")
    except Interrupted as error:
        entry |= {"state": "cancelled", "error": str(error)}
    finally:
        progress.close()
    if stopper.asked and entry["state"] == "done":
        entry["state"] = "stopped"
    made = [path for path in out.rglob("*") if path.is_file() and path.name != REPORT]
    files = [str(path) for path in sorted(made) if path.stat().st_mtime >= began]
    return entry | {"seconds": round(time.time() - began, 2), "files": files}


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description="Run a workflow without a server or a browser.")
    parser.add_argument("workflow", type=Path, help="what the front end's Save or Export (API) writes")
    parser.add_argument("--set", action="append", default=[], metavar="NODE.INPUT=VALUE", help="change an input")
    parser.add_argument("--concepts", type=Path, metavar="TABLE.csv", help="a table with a line for each concept")
    parser.add_argument("--out", type=Path, default=Path("output/train"), help="folder for adapters, images and report")
    parser.add_argument("--comfyui", type=Path, help="use this ComfyUI folder, with its models and input")
    parser.add_argument("--base", type=Path, help="folder with models and input, if it is not that of ComfyUI")
    parser.add_argument("--resume", action="store_true", help="go on with interrupted trainings where they fit")
    parser.add_argument("--cpu", action="store_true", default=None, help="run on the CPU even where there is a GPU")
    return parser.parse_args()


def start(options: argparse.Namespace) -> int:
    """Load the host and train, in an environment that has everything."""
    from headless import Headless

    saved = json.loads(options.workflow.read_text(encoding="utf-8"))
    rows = concept_table.read(options.concepts) if options.concepts else [Row("")]
    assignments = dict(concept_table.assignment(text) for text in options.set)
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    given = options.comfyui or (Path(os.environ["COMFYUI_PATH"]) if "COMFYUI_PATH" in os.environ else None)
    base = options.base or (None if options.comfyui else host.CACHE / "base")
    sys.argv = sys.argv[:1]  # the host reads it, too
    comfy = Headless((given or host.CACHE).resolve(), base and base.resolve(), host.ROOT, options.cpu)
    if options.resume:
        trainers = {f"{kind}.resume": "auto" for kind in concept_table.TRAINERS if kind in json.dumps(saved)}
        assignments = trainers | assignments
    return train(comfy, saved, rows, assignments, out)


def main() -> int:
    """Train, in this interpreter if it has everything, else in the pack's own environment."""
    options = arguments()
    try:
        if not options.workflow.is_file():
            raise TableError(f"There is no file {options.workflow}.")
        if os.environ.get(READY):
            return start(options)
        ready = host.prepare(options.comfyui)
        environment = os.environ | {"COMFYUI_PATH": str(ready.comfyui), READY: "1"}
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other process takes it
        return subprocess.run([ready.python, *sys.argv], env=environment).returncode
    except (TableError, WorkflowError, json.JSONDecodeError, host.HostError, source.SourceError) as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
