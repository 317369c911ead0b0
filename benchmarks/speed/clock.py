"""Seconds and bytes on a device: by CUDA's events and counters, on a CPU by the system's clock."""

from __future__ import annotations

import ctypes
import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from comfy import model_management

from purecc_pack.purecc.host.training.out_of_memory import OutOfMemory, is_oom
from speed.setup import Shape

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

OUT_OF_MEMORY = "out of memory"
PROCESS = Path("/proc/self")


@dataclass(frozen=True)
class Measured:
    """The figures of one row.

    Attributes:
        seconds: of each timed step; empty where memory did not suffice.
        peak: most bytes that torch reserved during the timed steps; on a CPU, most that the process had in memory.
        context: bytes that CUDA itself takes beside them; None on a CPU.
        grown: bytes that live tensors take more after the timed steps than before.
        dtype: what the transformer computes in.
        parts: seconds of each part before the first step.
        details: further figures of this row.
        accuracy: errors beside float32, see `accuracy.compare`.
        note: what the reader must know, such as that memory did not suffice.
    """

    seconds: Sequence[float] = ()
    peak: int | None = None
    context: int | None = None
    grown: int | None = None
    dtype: torch.dtype | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    accuracy: Mapping[str, float] = field(default_factory=dict)
    note: str = ""


class Laps:
    """Seconds between marks on a device's own time line. A mark does not wait for the device; reading does."""

    def __init__(self, device: torch.device):
        self._cuda = device.type == "cuda"
        self._marks: list[Any] = []

    def mark(self) -> None:
        """End a lap and begin the next."""
        self._marks.append(torch.cuda.Event(enable_timing=True) if self._cuda else time.perf_counter())
        if self._cuda:
            self._marks[-1].record()

    @property
    def seconds(self) -> list[float]:
        """Of each lap."""
        if self._cuda:
            torch.cuda.synchronize()
        return [a.elapsed_time(b) / 1000 if self._cuda else b - a for a, b in pairwise(self._marks)]


class Steps:
    """Times the steps of a shape; the trainer calls `finished` after each.

    The peak counts from before the last of several steps of warm-up: that one takes again what was given back, which
    costs seconds at true shapes.
    """

    def __init__(self, device: torch.device, shape: Shape):
        self.device, self.warmup, self.total = device, shape.warmup, shape.warmup + shape.timed
        self._laps, self._done, self._held = Laps(device), 0, 0
        self._found: dict[str, Any] = {}

    def finished(self) -> None:
        """Take note of a finished step."""
        self._done += 1
        if self._done == max(1, self.warmup - 1):
            self._held = held(self.device)
            forget_peak(self.device)
        if self._done >= self.warmup:
            self._laps.mark()
        if self._done == self.total:
            self._found = taken(self.device) | {"grown": held(self.device) - self._held}

    def measured(self, work: Callable[[], object]) -> Measured:
        """Do the work that takes the steps and return its figures; too little memory is a result too."""
        try:
            work()
            return Measured(self._laps.seconds, **self._found)
        except Exception as error:
            if not (is_oom(error) or isinstance(error, OutOfMemory)):
                raise
            return Measured(note=OUT_OF_MEMORY)
        finally:
            gc.collect()


class Parts:
    """Seconds of named parts that follow one another, the device's work included."""

    def __init__(self, device: torch.device):
        self._device, self._name, self._since = device, "", 0.0
        self.seconds: dict[str, float] = {}

    def begin(self, name: str) -> None:
        """End the part before and begin another; an empty name begins none, and a part that comes again adds up."""
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        if self._name:
            self.seconds[self._name] = self.seconds.get(self._name, 0.0) + now - self._since
        self._name, self._since = name, now


def median_seconds(device: torch.device, work: Callable[[], object], shape: Shape) -> float:
    """Return the median seconds of a piece of work, done as often as the shape has steps."""
    laps = Laps(device)
    for _ in range(shape.warmup):
        work()
    laps.mark()
    for _ in range(shape.timed):
        work()
        laps.mark()
    return statistics.median(laps.seconds)


def ceiling(device: torch.device, dtype: torch.dtype) -> float:
    """Return the TFLOP/s of a large product of square matrices: the most that the device can do."""
    side = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    return 2 * side**3 / median_seconds(device, lambda: a @ b, Shape(side, 1, 3, 10)) / 1e12


def forget_peak(device: torch.device) -> None:
    """Give cached memory back and measure the peak from here on."""
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    elif PROCESS.is_dir():
        gc.collect()
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc; others give back by themselves
        if trim is not None:
            trim(0)
        (PROCESS / "clear_refs").write_text("5")


def taken(device: torch.device) -> dict[str, Any]:
    """Return "peak" since `forget_peak`, and "context", all of the device that is in use beside torch."""
    if device.type != "cuda":
        return {"peak": _resident(), "context": None}
    free, total = torch.cuda.mem_get_info()
    return {"peak": torch.cuda.max_memory_reserved(), "context": total - free - torch.cuda.memory_reserved()}


def _resident() -> int | None:
    """Return the most bytes that this process had in memory, mapped files included; None where Linux does not say."""
    if not PROCESS.is_dir():
        return None
    (line,) = (x for x in (PROCESS / "status").read_text().splitlines() if x.startswith("VmHWM:"))
    return 1024 * int(line.split()[1])


def held(device: torch.device) -> int:
    """Return the bytes of live tensors; on a CPU of those that Python's collector knows and has not frozen."""
    gc.collect()
    if device.type == "cuda":
        return torch.cuda.memory_allocated()
    tensors = [x for x in gc.get_objects() if issubclass(type(x), torch.Tensor) and x.device == device]
    return sum({s._cdata: s.nbytes() for s in (t.untyped_storage() for t in tensors)}.values())


def keep_within(free: int) -> None:
    """Limit what this process may take from now on, in bytes, where the system can: torch then runs out of memory,
    which is a result, before the system kills the process."""
    if resource is None or not PROCESS.is_dir():
        return
    (line,) = (x for x in (PROCESS / "status").read_text().splitlines() if x.startswith("VmData:"))
    limit = 1024 * int(line.split()[1]) + free
    resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.getrlimit(resource.RLIMIT_DATA)[1]))


@contextmanager
def capped(device: torch.device, gib: float | None) -> Iterator[None]:
    """Limit torch and CUDA's context to so many GiB, and tell the host so, as on a smaller card.

    None, or a CPU: no limit.
    """
    if gib is None or device.type != "cuda":
        yield
        return
    model_management.unload_all_models()  # for which the smaller card has no room
    forget_peak(device)
    limit = int(gib * 2**30) - (taken(device)["context"] or 0)
    true_free = model_management.get_free_memory

    def free(dev=None, torch_free_too=False):
        if dev is not None and torch.device(dev).type == "cpu":
            return true_free(dev, torch_free_too)
        left = max(0, limit - torch.cuda.memory_allocated())
        return (left, torch.cuda.memory_reserved() - torch.cuda.memory_allocated()) if torch_free_too else left

    torch.cuda.set_per_process_memory_fraction(limit / torch.cuda.mem_get_info()[1])
    try:
        with mock.patch.object(model_management, "get_free_memory", free):
            yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
