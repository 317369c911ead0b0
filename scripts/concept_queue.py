"""Share a list of concepts among processes by files in a folder. Any process may be killed at any time.

Everything that happens to a concept is a file: `KEY.0001`, `KEY.0002`, ... A file is a claim or the end of one, and is
made once: of two processes that want the same number, one gets it. So a claim is followed either by its end, or by
the claim of a process that took over, never by both. Nothing is locked.

The owner of a claim touches its file again and again. A claim is abandoned if its process has died on this machine, or
if nobody has touched it for `stale` seconds of the one who watches; the clocks of machines need not agree.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import owners
from event_files import EventFiles, latest

STALE = 120.0
"""Seconds; more than the minute for which a network file system may show an old time."""
BEAT = 10.0
DONE, LEFT = "done", "left"
"""States of an end: nobody takes the concept again; anybody may at once. After any other, later calls may."""
WATCHED = 32
"""Concepts at work that a process without work watches; each begins elsewhere in the list."""
MISSES = 8
"""Concepts lost to others in a row before the folder is looked through again."""


@dataclass(frozen=True)
class Claim:
    """The right to work on a concept.

    Attributes:
        key: of the concept.
        number: of the claim's file.
        deaths: how many owners in a row before this one did not end their claims.
        begun: whether anybody had the concept before.
    """

    key: str
    number: int
    deaths: int = 0
    begun: bool = False


@dataclass(frozen=True)
class Clock:
    """The time and the processes that a queue sees; a simulation has its own.

    Attributes:
        now: seconds, never going back.
        owner: identity of this process.
        is_dead: whether the process of an identity has surely ended.
        began: when this call was made, in seconds since 1970: failures before it are tried again.
        stale: see the module.
    """

    now: Callable[[], float] = time.monotonic
    owner: dict[str, Any] = field(default_factory=owners.this)
    is_dead: Callable[[dict[str, Any]], bool] = owners.is_dead
    began: float = field(default_factory=time.time)
    stale: float = STALE


class ConceptQueue:
    """Concepts in a folder that several processes take from.

    Args:
        folder: shared by all; made here.
        keys: of the concepts; other files in the folder are left alone.
        clock: time and processes.
        first: share of the list, 0 to 1, at which this process begins, so that processes rarely want the same.
    """

    def __init__(self, folder: Path, keys: Iterable[str], clock: Clock | None = None, first: float = 0.0):
        self._clock = clock or Clock()
        listed = list(dict.fromkeys(keys))
        at = int(first * len(listed))
        self._open = dict.fromkeys(listed[at:] + listed[:at])
        self._files = EventFiles(folder, listed)
        self._free: deque[Claim] = deque()
        self._watched: dict[tuple[str, int], tuple[int, float]] = {}
        self._looked = False

    def take(self) -> Claim | None:
        """Return a claim of a concept that nobody works on; None if there is none now."""
        missed = 0
        while True:
            if not self._free or missed == MISSES:
                self._look()
                missed = 0
                if not self._free:
                    return None
            claim = self._free.popleft()
            held = self._held(claim)
            event = {"event": "claim", "owner": self._clock.owner, "deaths": claim.deaths}
            if not held and self._files.write(claim.key, claim.number, event):
                return claim
            missed += 1

    def unfinished(self) -> int:
        """Return how many concepts the folder had open when it was last looked through; those at work count."""
        if not self._looked:
            self._look()
        return len(self._open)

    def beat(self, claim: Claim) -> bool:
        """Say that the owner is still at work; return False if another process has taken over."""
        path = self._files.path(claim.key, claim.number)
        at = time.time_ns()
        os.utime(path, ns=(at, at))
        return not self._files.path(claim.key, claim.number + 1).exists()

    def end(self, claim: Claim, state: str, entry: dict[str, Any] | None = None) -> bool:
        """End a claim; return False if another process has taken over, and the end does not count.

        Args:
            claim: of this process.
            state: `DONE`, `LEFT` or another word.
            entry: for `ends`, JSON values.
        """
        event = {"event": "end", "state": state, "entry": entry or {}, "time": time.time()}
        if not self._files.write(claim.key, claim.number + 1, event, sync=True):
            return False
        if state == DONE:
            self._files.mark(claim.key, claim.number + 1)
        return True

    def done(self) -> dict[str, dict[str, Any]]:
        """Return the entries of the concepts that are done, by key."""
        top, marked = self._files.listing()
        return {key: self._files.read(key, top[key]).get("entry", {}) for key in marked}

    def reopen(self, key: str) -> None:
        """Have a concept done again whose files are gone."""
        top, marked = self._files.listing()
        if key in marked:
            event = {"event": "end", "state": LEFT, "entry": {}, "time": time.time()}
            self._files.write(key, top[key] + 1, event)

    def _look(self) -> None:
        """Find out what is free: what nobody ever had, else what was left, failed before this call or is abandoned."""
        self._looked = True
        top, finished = self._files.listing()
        for key in finished:
            self._open.pop(key, None)
        self._free = deque(Claim(key, 1) for key in self._open if key not in top)
        at_work = 0
        for key in () if self._free else list(self._open):
            at_work += self._judge(key, top[key])
            if at_work == WATCHED:
                break

    def _judge(self, key: str, number: int) -> bool:
        """Look at the latest event of a concept; return whether somebody works on it."""
        event = self._files.read(key, number)
        if event.get("event") != "end":
            if not self._abandoned(key, number, event):
                return True
            self._free.append(Claim(key, number + 1, event.get("deaths", 0) + 1, True))
        elif event["state"] == LEFT or (event["state"] != DONE and event["time"] < self._clock.began):
            self._free.append(Claim(key, number + 1, 0, True))
        else:
            del self._open[key]
        return False

    def _abandoned(self, key: str, number: int, event: dict[str, Any]) -> bool:
        if self._clock.is_dead(event.get("owner", {})):
            return True
        try:
            touched = self._files.path(key, number).stat().st_mtime_ns
        except OSError:
            return False
        now = self._clock.now()
        before, since = self._watched.get((key, number), (None, now))
        if touched != before:
            self._watched[key, number] = touched, now
            return False
        return now - since >= self._clock.stale

    def _held(self, claim: Claim) -> bool:
        """Return whether the claim that is to be taken over has shown life since it was found abandoned."""
        number = claim.number - 1
        if not number or (event := self._files.read(claim.key, number)).get("event") == "end":
            return False
        return not self._abandoned(claim.key, number, event)


def ends(folder: Path) -> Iterable[dict[str, Any]]:
    """Yield the latest end of every concept in a queue's folder, of lists before too; see `ConceptQueue.end`."""
    return latest(folder, "end")
