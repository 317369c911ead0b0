"""Run the real queue for 1,000 ranks that die and come back, with a stub in place of the steps.

    python benchmarks/scale/simulate.py [--ranks N] [--concepts N]

Adds a row to results/simulation.jsonl. The clock is virtual, the files are real: every rank is a `ConceptQueue` of its
own on one folder. A rank works on a concept step by step, leaves a state every so many steps, beats as a process does,
dies at random and comes back as a new process that knows nothing. Some die on a machine that others can see into, most
on another one, where only their silence tells. Some stand still for longer than the queue waits, and then go on.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE), str(HERE.parents[1] / "scripts")]

from concept_queue import DONE, STALE, Claim, Clock, ConceptQueue  # noqa: E402
from machine import machine  # noqa: E402

STEPS, SECONDS, STATE = 400, 1.0, 50
"""Steps of a concept, virtual seconds of a step, steps between two states."""
LIFE = 6000.0
"""Virtual seconds after which a rank dies, in the mean."""
BACK = 120.0
"""Virtual seconds until it is back."""
POLL = 30.0
SEEN, FROZEN = 0.2, 0.1
"""Shares of the deaths that others see at once, and that are no deaths but a standstill."""


@dataclass
class World:
    """The virtual time, the states on the disk, and what happened."""

    random: random.Random
    now: float = 0.0
    dead: set[int] = field(default_factory=set)
    states: dict[str, int] = field(default_factory=dict)
    counts: Counter = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("start", "take", "beat", "end"), 0.0))

    def timed(self, what: str, call, *arguments):
        """Return what a call of the queue gives, and add its real seconds."""
        began = time.perf_counter()
        given = call(*arguments)
        self.seconds[what] += time.perf_counter() - began
        self.counts[what] += 1
        return given


class Rank:
    """A process that is taken through its life by `act`, which returns the virtual seconds until its next act."""

    def __init__(self, world: World, number: int, folder: Path, keys: list[str], place: float):
        self._world, self.number, self._folder, self._keys, self._place = world, number, folder, keys, place
        self._queue: ConceptQueue | None = None
        self._claim: Claim | None = None
        self._step = 0
        self._dies = world.now + world.random.expovariate(1 / LIFE)

    def act(self) -> float | None:
        """Do what is next; None: this process has ended well."""
        world = self._world
        if self._queue is None:
            clock = Clock(lambda: world.now, {"number": self.number}, lambda o: o.get("number") in world.dead, 0.0)
            self._queue = world.timed("start", ConceptQueue, self._folder, self._keys, clock, self._place)
        if self._claim is None:
            self._claim = world.timed("take", self._queue.take)
            if self._claim is None:
                return POLL if self._queue.unfinished() else None
            self._step = world.states.get(self._claim.key, 0)
            world.counts["taken over"] += self._claim.deaths > 0
        elif not world.timed("beat", self._queue.beat, self._claim):
            world.counts["steps in vain"] += STATE
            self._claim = None
            return 0.0
        else:
            self._step += STATE
            world.counts["steps"] += STATE
            world.states[self._claim.key] = max(world.states.get(self._claim.key, 0), self._step)
            if self._step >= STEPS:
                ended = world.timed("end", self._queue.end, self._claim, DONE, {"name": self._claim.key})
                world.counts["ended" if ended else "ended too late"] += 1
                self._claim = None
                return 0.0
        return STATE * SECONDS

    def fate(self, wait: float) -> str:
        """Return "lives", "dies" or "freezes" for the virtual seconds to come."""
        if self._world.now + wait < self._dies:
            return "lives"
        self._dies = self._world.now + self._world.random.expovariate(1 / LIFE)
        if self._world.random.random() < FROZEN:
            self._world.counts["standstills"] += 1
            return "freezes"
        self._world.counts["deaths"] += 1
        self._world.counts["deaths at work"] += self._claim is not None
        self._world.counts["steps lost"] += self._world.random.randrange(STATE) if self._claim is not None else 0
        if self._world.random.random() < SEEN:
            self._world.dead.add(self.number)
        return "dies"


def simulate(ranks: int, concepts: int, folder: Path, seed: int = 0) -> World:
    """Run all ranks to the end."""
    world, numbers = World(random.Random(seed)), itertools.count()
    keys = [f"concept {k}" for k in range(concepts)]
    due: list[tuple[float, int, Rank]] = []

    def begin(place: float, wait: float) -> None:
        rank = Rank(world, next(numbers), folder, keys, place)
        heapq.heappush(due, (world.now + wait, rank.number, rank))

    places = {}
    for k in range(ranks):
        begin(k / ranks, world.random.random() * 60)
        places[k] = k / ranks
    while due:
        world.now, number, rank = heapq.heappop(due)
        wait = rank.act()
        if wait is None:
            continue
        fate = rank.fate(wait)
        if fate == "dies":
            begin(rank._place, world.random.random() * wait + BACK)
        else:
            heapq.heappush(due, (world.now + wait + (3 * STALE if fate == "freezes" else 0), number, rank))
    return world


def main() -> None:
    """Simulate, check and write the row."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--ranks", type=int, default=1000)
    parser.add_argument("--concepts", type=int, default=10000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        began = time.perf_counter()
        world = simulate(options.ranks, options.concepts, Path(name))
        real = time.perf_counter() - began
        done = ends_of(Path(name))
    lost = options.concepts - len(done)
    twice = sum(count > 1 for count in done.values())
    queue = sum(world.seconds.values())
    row = {
        "ranks": options.ranks,
        "concepts": options.concepts,
        **machine(),
        "lost": lost,
        "done twice": twice,
        **{key: world.counts[key] for key in sorted(world.counts)},
        "virtual hours": round(world.now / 3600, 2),
        "real seconds": round(real, 1),
        "queue seconds a concept": round(queue / options.concepts, 6),
        **{f"seconds a {what}": round(s / max(1, world.counts[what]), 7) for what, s in world.seconds.items()},
        "queue share of the work": queue / (options.concepts * STEPS * SECONDS),
        "rank hours": round(options.ranks * world.now / 3600, 1),
        "work share of rank hours": round(options.concepts * STEPS * SECONDS / (options.ranks * world.now), 4),
    }
    print(json.dumps(row, indent=1))
    if lost or twice:
        sys.exit("The queue lost concepts, or had some done twice.")
    with (HERE / "results" / "simulation.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def ends_of(folder: Path) -> Counter:
    """Count the ends of every concept, from the files alone."""
    events = (json.loads(p.read_text()) for p in folder.iterdir() if p.suffix[1:].isdigit())
    return Counter(event["key"] for event in events if event["event"] == "end" and event["state"] == DONE)


if __name__ == "__main__":
    main()
