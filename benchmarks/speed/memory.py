"""Memory of a device: what lives there, what CUDA itself takes, and a card made smaller."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import torch
from comfy import model_management


def forget_peak(device: torch.device) -> None:
    """Gives cached memory back and measures the peak from here on."""
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak_reserved(device: torch.device) -> int | None:
    """The most memory reserved since `forget_peak`, bytes; None where the device does not tell."""
    return torch.cuda.max_memory_reserved() if device.type == "cuda" else None


def context(device: torch.device) -> int | None:
    """Bytes in use beside what torch reserved: CUDA's context and kernels, and other processes; None on a CPU."""
    if device.type != "cuda":
        return None
    free, total = torch.cuda.mem_get_info()
    return total - free - torch.cuda.memory_reserved()


def held(device: torch.device) -> int:
    """Bytes of the tensors that are alive; on a CPU of those that Python's collector knows and has not frozen."""
    gc.collect()
    if device.type == "cuda":
        return torch.cuda.memory_allocated()
    tensors = [x for x in gc.get_objects() if issubclass(type(x), torch.Tensor) and x.device == device]
    storages = {s._cdata: s.nbytes() for s in (t.untyped_storage() for t in tensors)}
    return sum(storages.values())


@contextmanager
def capped(device: torch.device, gib: float | None) -> Iterator[None]:
    """As on a smaller card: what torch reserves and CUDA's context may not pass so many GiB, and the host is told so.

    None, or a CPU: no cap.
    """
    if gib is None or device.type != "cuda":
        yield
        return
    forget_peak(device)
    limit = int(gib * 2**30) - context(device)
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
