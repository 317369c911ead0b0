"""Run the benchmark: search and ablations on the development concepts, claims on the others.

    python scripts/test.py            # once: installs the host
    COMFYUI_PATH=... python benchmarks/quality/run.py search|ablate|claim|unseen|all [--processes 2] [--seeds 3]

"unseen" are the sets that were made last. No part of "all" are "places", "stages", "sizes", "named" and "moves", which
compare what is done about one thing (`phases.py`), and "second-claim", which compares the best with LoRA and EWC.
Prints the predicted time first. Every finished run is a line of results/PHASE.jsonl beside this file; a second call
goes on where the first one ended. Rows that are there are made anew, with all that they need and from nothing but the
code, in another folder:

    ... run.py claim --only tree --methods anchored --seed 3 --anew build/anew

which can be gone on with, too. How far each is from the row in results is printed; that row stays.
With --base, search finds the rates for a base of bases.py, and ablate compares one concept on it, with results in
results/BASE.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(ROOT / "scripts")]
STATE = ROOT / "build" / "quality"
RESULTS = HERE / "results"
PHASES = ("search", "ablate", "claim", "unseen")
MORE = ("places", "stages", "sizes", "named", "moves")
"""Comparisons beside the claims; see `phases.py`."""
SECOND = "second-claim"


@dataclass(frozen=True)
class Task:
    """All runs of one concept with one seed; those that need θ1 follow the one that makes it.

    Attributes:
        phase: names the file of the results.
        concept: name of a concept.
        seed: of training.
        runs: (label, key of METHODS, changed settings) in order.
        steps: of every stage.
        points: when it is measured.
        whole: whether all prompts are drawn at the last step.
        fewer: whether these are the fewer of the second claim.
    """

    phase: str
    concept: str
    seed: int
    runs: tuple[tuple[str, str, tuple[tuple[str, float], ...]], ...]
    steps: int
    points: tuple[int, ...]
    whole: bool
    fewer: bool = False


def tasks(phase: str, only: list[str], methods: list[str], seeds: Iterable[int], base: str = "") -> list[Task]:
    """Return the tasks of a phase, seed by seed, so that an interrupted phase is complete up to some seed."""
    import bases
    from concepts import DEVELOPMENT, TRIED
    from methods import LATER, METHODS, SEARCH, label
    from phases import COMPARED

    compared = COMPARED.get(phase)
    if base:
        runs = bases.runs(phase)
    elif phase == "search":
        runs = [(label(key, s), key, tuple(s.items())) for key, grid in SEARCH.items() for s in grid]
    else:
        keys = compared.methods if compared else [key for key in METHODS if key not in LATER]
        runs = [(key, key, ()) for key in keys]
    concepts = compared.sets if compared else (*DEVELOPMENT, *(TRIED if only else ()))
    if base and not only:
        concepts = (bases.CONCEPT,)
    chosen = tuple(r for r in runs if not methods or r[1] in methods or r[0] in methods)
    names = [c for c in concepts if not only or c in only]
    steps, points = (120, [40, 120]) if phase == "search" else (200, [25, 50, 100, 200])
    curve = compared is None or compared.whole_curve
    when = tuple(points[1:] if base else points if curve else points[-1:])
    whole, fewer = phase != "search", phase == SECOND
    return [Task(phase, c, s, chosen, steps, when, whole, fewer) for s in seeds for c in names]


_world: Any = None  # a worker's bench.World


def start(state: Path, base: str = "") -> None:
    """Start a worker: one thread, the base in memory, its files in `state`; it ends with its parent."""
    global _world
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch
    from pack import load_pack

    torch.set_num_threads(1)
    load_pack()
    import bases
    import folder_paths

    folder_paths.set_user_directory(str((state / "user").resolve()))
    _world = bases.world(base, state)
    _world.cache = True


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)


def work(task: Task, finished: set[str]) -> list[dict]:
    """Run the unfinished part of a task, and keep each record in a file until the caller has it."""
    import torch
    from bench import save_extractor
    from concepts import CONCEPTS
    from extractors import place_of_theta1, theta1
    from kept import made, write
    from measuring import Budget

    concept, state = CONCEPTS[task.concept], _world.state
    firsts = {method.stages.first for method in _world.methods.values()}
    records = []
    for name, key, settings in task.runs:
        if name in finished:
            continue
        path = state / task.phase / task.concept / f"{name.replace(' ', '_')}-{task.seed}.json"
        if not path.is_file():
            method, extractor = _world.methods[key].at(**dict(settings)), None
            first, steps = method.stages.steps(task.steps)
            if method.recipe.needs_extractor:
                extractor = theta1(_world, method.stages.first, concept, task.seed, first)
            points = (*(p for p in task.points if p < steps), steps)
            budget = Budget(steps, points, task.whole, fewer=task.fewer)
            record, adapter, pictures = _world.run(concept, method, task.seed, budget, extractor)
            if key in firsts and not settings:
                save_extractor(adapter, place_of_theta1(state, key, concept, task.seed, steps))
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save({step: latents.half() for step, latents in pictures.items()}, path.with_suffix(".pt"))
            write(path, {"label": name, **record, "made": made()})
        records.append(json.loads(path.read_text(encoding="utf-8")))
    return records


def predicted(pending: list[tuple[Task, set[str]]], known: dict, base: str = "") -> float:
    """Estimate the seconds of one process, from finished runs of the same label or a forward pass of the base."""
    import bases
    import torch
    from bench import seconds_a_velocity
    from measuring import Budget
    from methods import METHODS
    from samples import BATCH, SAMPLING_STEPS

    rate = None
    total = 0.0
    for task, finished in pending:
        for name, key, settings in task.runs:
            if name in finished:
                continue
            alike = [r["seconds"]["all"] for (phase, _, n, _), r in known.items() if (phase, n) == (task.phase, name)]
            if alike:
                total += median(alike)  # some were made beside other work
                continue
            if rate is None:
                torch.set_num_threads(1)
                rate = seconds_a_velocity(bases.world(base, STATE), BATCH)
            passes = METHODS[key].at(**dict(settings)).recipe.work
            budget = Budget(fewer=task.fewer)
            last = sum(budget.counts.values()) * task.whole
            pictures = sum(budget.short_counts.values()) * (len(task.points) - task.whole) + last
            total += rate * (passes * task.steps * 4 * 1.5 + 2 * SAMPLING_STEPS * pictures)
    return total


def main() -> None:
    """Run the missing rows of a phase."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("phase", choices=[*PHASES, *MORE, SECOND, "all"])
    parser.add_argument("--base", choices=["tiny", "unet", "flux"], default="", help="see bases.py")
    parser.add_argument("--processes", type=int, default=2, help="one-thread processes side by side")
    parser.add_argument("--seeds", type=int, help="how many, from 0; by default 5 of a claim, else 3")
    parser.add_argument("--seed", type=int, help="this one only")
    parser.add_argument("--anew", type=Path, metavar="DIR", help="make rows that are there anew in DIR, and compare")
    parser.add_argument("--predict", action="store_true", help="print how long it would take, and end")
    parser.add_argument("--only", nargs="*", default=[], help="names of concepts")
    parser.add_argument("--methods", nargs="*", default=[], help="names of methods, or labels of settings")
    arguments = parser.parse_args()
    from pack import load_pack

    load_pack()
    from kept import distance, done

    base, published = arguments.base, RESULTS / arguments.base
    state, results = (arguments.anew / "state", arguments.anew) if arguments.anew else (STATE / base, published)
    kept: dict[tuple[str, str, str, int], dict] = {}
    pending = []
    for phase in PHASES if arguments.phase == "all" else (arguments.phase,):
        kept |= done(phase, published)
        there = done(phase, results)
        count = arguments.seeds or (2 if base and phase == "search" else 5 if phase in ("claim", SECOND) else 3)
        seeds = range(count) if arguments.seed is None else (arguments.seed,)
        for task in tasks(phase, arguments.only, arguments.methods, seeds, base):
            finished = {name for name, _, _ in task.runs if (phase, task.concept, name, task.seed) in there}
            if len(finished) < len(task.runs):
                pending.append((task, finished))
    runs = sum(len(task.runs) - len(finished) for task, finished in pending)
    hours = predicted(pending, kept, base) / 3600 / arguments.processes
    print(f"{runs} runs, about {hours:.1f} hours on {arguments.processes} processes", flush=True)
    if not runs:
        print(f"All that was asked for is in {results}; --anew DIR makes it anew.")
    if not runs or arguments.predict:
        return
    began, made = time.time(), 0
    results.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        arguments.processes, mp_context=context, initializer=start, initargs=(state, base)
    ) as pool:
        futures = {pool.submit(work, task, finished): task for task, finished in pending}
        for future in as_completed(futures):
            task, records = futures[future], future.result()
            with (results / f"{task.phase}.jsonl").open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(record) + "\n" for record in records)
            made += len(records)
            print(f"{task.phase} {task.concept} {task.seed}: {made} of {runs}, {time.time() - began:.0f} s", flush=True)
            for record in records if arguments.anew else ():
                name = (task.phase, record["concept"], record["label"], record["seed"])
                far = f"differs by at most {distance(kept[name], record):.3g}" if name in kept else "is new"
                print(f"  {record['label']} {far}", flush=True)


if __name__ == "__main__":
    main()
