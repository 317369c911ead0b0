"""Counts the bytes that a computation holds while it runs; on the meta device nothing is computed or held."""

from __future__ import annotations

import copy
import weakref
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter


class LiveBytes(TorchDispatchMode):
    """Counts the storages that are made inside and are alive, each once.

    Memory that an operation takes and frees within itself is not counted, such as the workspace of a matrix product.

    Attributes:
        live: bytes now.
        peak: the most there were.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live = 0
        self.peak = 0
        self._known: dict[int, weakref.finalize] = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None) -> Any:
        """Run an operation and count the storages that it made."""
        kwargs = kwargs or {}
        self._see((args, kwargs), made=False)
        out = function(*args, **kwargs)
        self._see(out, made=True)
        self.peak = max(self.peak, self.live)
        return out

    def _see(self, tree, made: bool) -> None:
        for tensor in tree_iter(tree):
            if not isinstance(tensor, Tensor) or hasattr(tensor, "__tensor_flatten__"):
                continue  # a tensor around others, such as a quantised weight, has no storage
            storage = tensor.untyped_storage()
            if (key := storage._cdata) not in self._known:
                size = storage.nbytes() if made else 0
                self._known[key] = weakref.finalize(storage, self._gone, key, size)
                self.live += size

    def _gone(self, key: int, size: int) -> None:
        self.live -= size
        del self._known[key]


def meta_twin(module: nn.Module) -> nn.Module:
    """Return a copy of a network on the meta device: shapes, types and requires_grad, without data."""
    memo: dict[int, Any] = {}
    for tensor in (*module.parameters(), *module.buffers()):
        meta = torch.empty_like(tensor, device="meta")
        memo[id(tensor)] = nn.Parameter(meta, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else meta
    return copy.deepcopy(module, memo)
