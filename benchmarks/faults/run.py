"""Try faults on the pack and judge what comes of each: one command, seeded, resumable, in parallel.

COMFYUI_PATH=/path/to/ComfyUI python benchmarks/faults/run.py [--sample | --count N] [--jobs 2] [--again]

Rows that are there already are not tried again; with --again those are that were not in order. A worker process goes
through all kinds of faults; one that dies or takes too long is replaced, and the fault it was at is a crash or a hang.
The page is written at the end.
"""

import argparse
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path += [str(HERE.parent), str(ROOT / "scripts"), str(ROOT / "tests")]

ROWS = HERE / "results" / "rows.jsonl"
KINDS = ("killed_saves", "disks", "damaged", "interrupted", "not_finite", "memory", "killed_runs", "inputs", "routes")
SAMPLE = 300
"""Faults of a sample; docs/reliability.md has its time."""
OPENING = 300.0
"""Seconds in which a worker must be ready for the first fault of a kind."""
LONGEST = 160
"""Letters of a clear message in a row."""


@dataclass(frozen=True)
class Task:
    """What one worker does.

    Attributes:
        counts: number of faults of each kind, for all workers together.
        seed: of the faults.
        shard: of this worker, and how many there are.
        done: (kind, case) of rows that are there.
    """

    counts: dict[str, int]
    seed: int
    shard: tuple[int, int]
    done: set[tuple[str, str]] = field(default_factory=set)


def work(task: Task, pipe: Connection) -> None:
    """Try the faults of a task, and send what comes of each."""
    from faults import judge, world

    world.prepare()
    number, shards = task.shard
    for kind, count in task.counts.items():
        pipe.send(("opening", kind, "", OPENING))
        module = import_module(f"faults.{kind}")
        with module.opened(Random(f"{task.seed} {kind}")) as cases:
            for case, attempt in islice(cases, number, count, shards):
                if (kind, case) in task.done:
                    continue
                pipe.send(("begin", kind, case, module.LIMIT))
                began = time.monotonic()
                seen = attempt()
                verdict = judge.verdict(seen)
                said = seen.lost or seen.wrong or (f"{seen.error}: {seen.said}" if seen.error else "")
                pipe.send(("row", row(kind, case, verdict, said, time.monotonic() - began, world.megabytes())))
    pipe.send(("end",))


def row(kind: str, case: str, verdict: str, said: str, seconds: float = 0.0, memory: int = 0) -> dict[str, Any]:
    """Return what is kept of one fault."""
    short = said if verdict in ("unclear", "silent", "lost", "crash") else said[:LONGEST]
    return {"kind": kind, "case": case, "verdict": verdict, "said": short[:1000], "s": round(seconds, 2), "mb": memory}


def followed(task: Task) -> Iterator[dict[str, Any]]:
    """Yield the rows of a task, with a new worker each time that one dies or hangs."""
    context = multiprocessing.get_context("spawn")
    while True:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=work, args=(task, theirs))
        process.start()
        theirs.close()
        kind, case, limit = "", "", OPENING
        while True:
            hung = not ours.poll(limit)
            try:
                message = None if hung else ours.recv()
            except EOFError:
                message = None
            if message is None or message[0] == "end":
                break
            if message[0] == "row":
                task.done.add((message[1]["kind"], message[1]["case"]))
                limit = OPENING
                yield message[1]
            else:
                _, kind, case, limit = message
        if message is not None:
            process.join()
            return
        end(process)
        if not case:
            raise RuntimeError(f"The worker ended before the first fault of {kind or 'all kinds'}.")
        task.done.add((kind, case))
        yield row(kind, case, "hang" if hung else "crash", "")


def end(process: Any) -> None:
    """End a worker and the servers it started."""
    if process.is_alive():
        os.kill(process.pid, signal.SIGTERM)  # it stops its server
        process.join(20)
    if process.is_alive():
        process.kill()
    process.join()


def known(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file; a last one that was cut short does not count."""
    out = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            out.append(json.loads(line))
        except ValueError:
            continue
    return out


def shares(kinds: list[str], most: int | None) -> dict[str, int]:
    """Return the number of faults of each kind, in all at most about `most`."""
    full = {kind: COUNTS[kind] for kind in kinds}
    part = 1.0 if most is None else most / sum(full.values())
    return {kind: max(1, round(part * count)) for kind, count in full.items()}


COUNTS = {
    "killed_saves": 1000,
    "disks": 3600,
    "damaged": 6000,
    "interrupted": 200,
    "not_finite": 150,
    "memory": 80,
    "killed_runs": 60,
    "inputs": 3000,
    "routes": 3500,
}
"""Faults of each kind in the whole campaign; kinds with fewer different ones try all."""


def main(arguments: list[str] | None = None) -> list[dict[str, Any]]:
    """Run the campaign, write its page, and return its rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, help="faults in all; default: the whole campaign")
    parser.add_argument("--sample", action="store_true", help=f"{SAMPLE} faults of all kinds, in minutes")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--seed", type=int, default=18)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=ROWS)
    parser.add_argument("--again", action="store_true", help="try again what was not as it should be or clear")
    parser.add_argument("--page", type=Path, help="write the table into this page, between its marks")
    options = parser.parse_args(arguments)
    counts = shares(options.kinds, SAMPLE if options.sample else options.count)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    from faults import judge, report

    rows = known(options.out)
    if options.again:
        rows = [row for row in rows if row["verdict"] in judge.GOOD]
        options.out.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    done = {(row["kind"], row["case"]) for row in rows}
    lock, failed = threading.Lock(), list[str]()

    def follow(number: int) -> None:
        try:
            take(Task(counts, options.seed, (number, options.jobs), set(done)))
        except RuntimeError as error:
            failed.append(str(error))

    def take(task: Task) -> None:
        for made in followed(task):
            with lock, options.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(made) + "\n")
                rows.append(made)
            if made["verdict"] not in judge.GOOD:
                print(f"{made['verdict']}: {made['kind']}, {made['case']}: {made['said'][:300]}", flush=True)

    threads = [threading.Thread(target=follow, args=(number,)) for number in range(options.jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(report.table(rows))
    if options.page is not None:
        report.write(options.page, rows)
    if failed:
        raise SystemExit("\n".join(failed))
    return rows


if __name__ == "__main__":
    main()
