"""Keep the training runs of a server session."""

from __future__ import annotations

import threading

from .live_run import LiveRun


class Runs:
    """Runs that are under way, and the latest that have ended.

    Args:
        most: ended runs that are kept.
        most_bytes: of their samples. Beyond it, the oldest runs lose theirs.
    """

    def __init__(self, most: int = 100, most_bytes: int = 2**28):
        self._most, self._most_bytes, self._lock = most, most_bytes, threading.Lock()
        self._runs: dict[str, LiveRun] = {}

    def add(self, run: LiveRun) -> None:
        """Add a run, in place of ended ones of the same node."""
        where = run.about.workflow, run.about.node
        with self._lock:
            ended = [r for r in self._runs.values() if r.ended]
            gone = [r for r in ended if (r.about.workflow, r.about.node) == where]
            kept = [r for r in ended if r not in gone]
            for old in gone + kept[: max(0, len(kept) - self._most)]:
                del self._runs[old.id]
            room = self._most_bytes
            for old in reversed(kept):
                room -= old.size
                if room < 0:
                    old.drop_samples()
            self._runs[run.id] = run

    def get(self, identity: str) -> LiveRun | None:
        """Return the run with that id."""
        with self._lock:
            return self._runs.get(identity)

    def all(self) -> list[LiveRun]:
        """Return all runs, the oldest first."""
        with self._lock:
            return list(self._runs.values())


RUNS = Runs()
"""The runs of this server."""
