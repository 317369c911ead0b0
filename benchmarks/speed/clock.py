"""Time and memory on a device: events where it has them, the system's clock elsewhere."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import torch

from speed import memory


class Laps:
    """Marks on a device's own time line; the seconds between them are read at the end, so marking waits for nothing."""

    def __init__(self, device: torch.device):
        self._cuda = device.type == "cuda"
        self._marks: list[tuple[str, object]] = []

    def __call__(self, name: str = "") -> None:
        """Ends a lap, under a name; the first call only begins."""
        if self._cuda:
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            self._marks.append((name, event))
        else:
            self._marks.append((name, time.perf_counter()))

    @property
    def seconds(self) -> list[float]:
        """Of every lap in order."""
        return [s for _, s in self.named]

    @property
    def named(self) -> list[tuple[str, float]]:
        """Every lap with its name."""
        if self._cuda:
            torch.cuda.synchronize()
        pairs = zip(self._marks, self._marks[1:], strict=False)
        return [(name, self._between(a, b)) for (_, a), (name, b) in pairs]

    def _between(self, a, b) -> float:
        return a.elapsed_time(b) / 1000 if self._cuda else b - a


class Steps:
    """Seconds a step after warm-up, and the memory that these steps reserve.

    Attributes:
        device: where they run.
        warmup: steps that are not timed, at least one.
        timed: steps that are.
        watched: whether the memory in use is looked at too.
        first: seconds of the first step, counted from `begin`; None before it is done.
        grown: bytes that live tensors take more after the last step than after the warm-up; None before it is done.
    """

    def __init__(self, device: torch.device, warmup: int, timed: int, watched: bool = True):
        self.device, self.warmup, self.timed, self.watched = device, warmup, timed, watched
        self.first: float | None = None
        self.grown: int | None = None
        self._laps = Laps(device)
        self._done, self._began, self._held = 0, time.perf_counter(), 0

    @property
    def total(self) -> int:
        """How many steps there are."""
        return self.warmup + self.timed

    def begin(self) -> None:
        """To be called before the first step."""
        memory.forget_peak(self.device)
        self._began = time.perf_counter()

    def finished(self) -> None:
        """To be called after every step."""
        self._done += 1
        if self._done == 1:
            if self.device.type == "cuda":
                torch.cuda.synchronize()
            self.first = time.perf_counter() - self._began
        if self._done == self.warmup:
            self._held = memory.held(self.device) if self.watched else 0
            memory.forget_peak(self.device)
        if self._done >= self.warmup:
            self._laps()
        if self._done == self.total and self.watched:
            self.grown = memory.held(self.device) - self._held

    @property
    def seconds(self) -> list[float]:
        """Of the steps after warm-up."""
        return self._laps.seconds


def medians(steps: Sequence[Laps]) -> dict[str, float]:
    """Median seconds of every part by name, from the laps of each step; a part that comes again in a step adds up."""
    sums = []
    for laps in steps:
        parts: dict[str, float] = {}
        for name, seconds in laps.named:
            parts[name] = parts.get(name, 0.0) + seconds
        sums.append(parts)
    return {name: statistics.median(s.get(name, 0.0) for s in sums) for name in sums[0]}


def median_seconds(device: torch.device, work: Callable[[], object], warmup: int, timed: int) -> float:
    """Median seconds of a piece of work."""
    steps = Steps(device, warmup, timed, watched=False)
    for _ in range(steps.total):
        work()
        steps.finished()
    return statistics.median(steps.seconds)


class Parts:
    """Seconds of named parts that follow one another, the device's work included."""

    def __init__(self, device: torch.device):
        self._device = device
        self._name, self._since = "", 0.0
        self.seconds: dict[str, float] = {}

    def begin(self, name: str) -> None:
        """Ends the part before, if any; a part that comes again adds up."""
        self.end()
        self._name, self._since = name, time.perf_counter()

    def end(self) -> None:
        """Ends the part."""
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        if self._name:
            spent = time.perf_counter() - self._since
            self.seconds[self._name] = self.seconds.get(self._name, 0.0) + spent
        self._name = ""


def ceiling(device: torch.device, dtype: torch.dtype) -> float:
    """TFLOP/s of a large product of square matrices of random numbers: what the device can do at best."""
    side = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    return 2 * side**3 / median_seconds(device, lambda: a @ b, 3, 10) / 1e12
