"""Run a workflow without a server or a browser, for one concept or for a table of them.

    python3 scripts/train.py WORKFLOW.json [--set NODE.INPUT=VALUE ...] [--concepts TABLE.csv] [--out DIR]
    accelerate launch --num_processes N scripts/train.py ...

The workflow is what the front end's Save or Export (API) writes. The table has a line for each concept:
`name,folder,class_word,kind` and any other input as `NODE.INPUT`. What all concepts share, such as the base model, is
loaded once. A concept that is done is left out by a second call; one that fails costs no other. Ctrl-C stops after the
current step and keeps the adapter; a second Ctrl-C cancels.

Several processes share the table: each takes the next concept from `OUT/queue`, also those of other machines and other
calls, if OUT is the same folder. A concept whose process died goes on in another from its last state. Without a table,
the processes of a launch train the one adapter together.

Exit code: 0 all done, 1 a concept failed, 2 the workflow or table cannot be used, 130 Ctrl-C, 143 SIGTERM.
"""

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import concept_table
import host
import source
from concept_queue import Clock
from concept_run import Concept, Runner, Stopper
from concept_table import Row, TableError
from launched import place
from train_report import Report
from work import Work, together
from workflow import WorkflowError

READY = "PURECC_HEADLESS"


def concepts(comfy, saved: dict, rows: list[Row], assignments: dict[str, Any], out: Path) -> tuple[list[Concept], dict]:
    """Return (the concepts of a call, titles of the nodes)."""
    base, titles = concept_table.prompt_of(saved, comfy.object_info)
    found = []
    for row in rows:
        prompt = json.loads(json.dumps(base))
        if row.name:
            concept_table.call(prompt, row.name)
        concept_table.fill(prompt, titles, assignments | row.values)
        name = row.name or ", ".join(concept_table.names(prompt)) or "workflow"
        key = f"{name} {hashlib.sha256(json.dumps(prompt, sort_keys=True).encode()).hexdigest()[:12]}"
        found.append(Concept(name, prompt, key, out / "output" / row.name))
    return found, titles


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

    clock, here = Clock(), place()
    saved = json.loads(options.workflow.read_text(encoding="utf-8"))
    rows = concept_table.read(options.concepts) if options.concepts else [Row("")]
    assignments = dict(concept_table.assignment(text) for text in options.set)
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    given = options.comfyui or (Path(os.environ["COMFYUI_PATH"]) if "COMFYUI_PATH" in os.environ else None)
    base = options.base or (None if options.comfyui else host.CACHE / "base")
    sys.argv = sys.argv[:1]  # the host reads it, too
    tree = given or host.CACHE / f"ComfyUI-{source.VERSION}"
    comfy = Headless(source.check_tree(tree.resolve()), base and base.resolve(), host.ROOT, options.cpu, here.local)
    comfy.folders(out)
    found, titles = concepts(comfy, saved, rows, assignments, out)
    joined = here.count > 1 and not options.concepts
    stopper = Stopper(comfy)
    signal.signal(signal.SIGINT, stopper.stop)
    signal.signal(signal.SIGTERM, stopper.end)
    runner = Runner(comfy, saved, titles, out, stopper, quiet=joined and here.rank > 0)
    work = Work(found, runner, Report(out, out / "queue"), clock, here, options.resume)
    return together(work, comfy.join()) if joined else work.all()


def main() -> int:
    """Train, in this interpreter if it has everything, else in the pack's own environment."""
    options = arguments()
    try:
        if not options.workflow.is_file():
            raise TableError(f"There is no file {options.workflow}.")
        if os.environ.get(READY) or place().local is not None:
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
