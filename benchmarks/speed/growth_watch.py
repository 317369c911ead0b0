"""Listen to a run as it grows: CPU and wall seconds of its parts and steps, and memory."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any, NamedTuple

import psutil
import torch
from measuring import Silent

from purecc_pack.purecc.host.messages import Phase
from speed.clock import held


class Seconds(NamedTuple):
    """A moment of this process, or the time between two.

    Attributes:
        cpu: that the process worked, whatever else ran on the machine.
        wall: by the clock.
    """

    cpu: float
    wall: float

    def since(self, earlier: Seconds) -> Seconds:
        """Return the time between two moments."""
        return Seconds(self.cpu - earlier.cpu, self.wall - earlier.wall)


def now() -> Seconds:
    """Return this moment."""
    return Seconds(time.process_time(), time.perf_counter())


class Watch(Silent):
    """Listens to a run.

    Attributes:
        marks: where the steps begin, and the end of each.
        resident: bytes of the process in memory by step.
        live: bytes of live tensors by step.

    Args:
        every: steps between two readings of the process's memory; 0: it is not read.
        counted: steps after which live tensors are counted.
    """

    def __init__(self, every: int = 0, counted: Collection[int] = ()):
        self.marks: list[Seconds] = []
        self.resident: dict[int, int] = {}
        self.live: dict[int, int] = {}
        self._parts: dict[str, list[Seconds]] = {}
        self._every, self._counted = every, counted
        self._name, self._since = "", now()

    def begin(self, name: str) -> None:
        """End the part before, and begin another; an empty name begins none."""
        moment = now()
        if self._name:
            self._parts.setdefault(self._name, []).append(moment.since(self._since))
        self._name, self._since = name, moment

    def phase(self, phase, **values) -> None:
        """Begin a part, or end the last where the steps begin."""
        self.begin(phase.name.lower() if phase is not Phase.TRAIN else "")
        if phase is Phase.TRAIN:
            self.marks.append(now())

    def step(self, step, previews) -> None:
        """Note when a step ended, and what the process holds."""
        self.marks.append(now())
        if self._every and step.number % self._every == 0:
            self.resident[step.number] = psutil.Process().memory_info().rss
        if step.number in self._counted:
            self.live[step.number] = held(torch.device("cpu"))

    @property
    def each(self) -> list[Seconds]:
        """The seconds of each step."""
        return [later.since(earlier) for earlier, later in zip(self.marks, self.marks[1:], strict=False)]

    @property
    def before(self) -> dict[str, Any]:
        """The seconds before the first step, and the CPU seconds of each part."""
        every = [seconds for part in self._parts.values() for seconds in part]
        parts = {name: sum(s.cpu for s in part) for name, part in self._parts.items()}
        return {"cpu": sum(s.cpu for s in every), "wall": sum(s.wall for s in every), "parts": parts}
