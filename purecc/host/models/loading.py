"""Load private copies onto the device: whole where they fit, else in part, the rest being fetched by every pass."""

# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from comfy import model_management
from comfy.model_patcher import ModelPatcher
from torch import nn

from ...network.linear import is_linear, shape_of

SHARE = 0.25
"""Of the device's memory, for passes of models that do not fit."""


class Loader:
    """Loads private copies in one call, so that the host unloads none of them for another.

    Attributes:
        reserve: bytes that stay free beside the weights; those that then have no room are left elsewhere. None: all
            weights are loaded.
    """

    def __init__(self, patchers: Sequence[ModelPatcher]):
        self._patchers = list(patchers)
        self.reserve = first_reserve(self._patchers)

    def load(self) -> None:
        """Load them; to be called again whenever the host may have unloaded one."""
        load(self._patchers, self.reserve)

    def give_way(self) -> bool:
        """Leave a larger share of the device to passes; return False where all of it is left to them already."""
        device = self._patchers[0].load_device
        total = 0 if model_management.is_device_cpu(device) else int(model_management.get_total_memory(device))
        if (self.reserve or 0) >= total:
            return False
        self.reserve = min(total, (self.reserve or 0) + int(SHARE * total))
        return True

    def weights(self) -> tuple[int, int]:
        """Return the bytes of weights on the device, and of those elsewhere."""
        device = self._patchers[0].load_device.type
        every = [w for patcher in self._patchers for w in (*patcher.model.parameters(), *patcher.model.buffers())]
        there = sum(w.nbytes for w in every if w.device.type == device)
        return there, sum(w.nbytes for w in every) - there

    def streamable(self, dtype: torch.dtype) -> tuple[int, int]:
        """Return the bytes of weights that passes can fetch layer by layer, and those that the fetched layers take.

        Args:
            dtype: that the copies compute in.
        """
        modules = [m for patcher in self._patchers for m in patcher.model.modules() if is_linear(m)]
        layers = [m for m in modules if hasattr(m, "comfy_cast_weights")]
        sizes = [(sum(w.nbytes for w in layer.parameters()), math.prod(shape_of(layer) or ())) for layer in layers]
        # The host's streams each keep the last layer that they brought, beside what it is cast to.
        held, cast = model_management.NUM_STREAMS, 2 * dtype.itemsize
        largest = max((held * size + cast * count for size, count in sizes), default=0)
        return sum(size for size, _ in sizes), largest


def load(patchers: Sequence[ModelPatcher], reserve: int | None = None) -> None:
    """Load private copies in one call; see `Loader.reserve`."""
    if reserve is None:
        model_management.load_models_gpu(list(patchers), force_full_load=True)
        return
    for patcher in patchers:
        _merge(patcher)
    model_management.load_models_gpu(list(patchers), memory_required=reserve)


def first_reserve(patchers: Sequence[ModelPatcher]) -> int | None:
    """Return what `Loader.reserve` is before anything is planned: None for copies that fit, with nothing beside them.

    For others it is a share of the device's memory, since nobody knows yet what passes will need.
    """
    device = patchers[0].load_device
    if model_management.is_device_cpu(device):
        return None
    missing = sum(patcher.model_size() - patcher.loaded_size() for patcher in patchers)
    if missing > model_management.get_free_memory(device):
        mine = [loaded for loaded in model_management.current_loaded_models if loaded.model in patchers]
        model_management.free_memory(1e30, device, keep_loaded=mine)
    if missing <= model_management.get_free_memory(device):
        return None
    return int(SHARE * model_management.get_total_memory(device))


def _merge(patcher: ModelPatcher) -> None:
    """Merge the patches of a private copy into its weights, one after the other: by parts they would be lost."""
    for key in list(patcher.patches):
        patcher.patch_weight_to_device(key, device_to=patcher.load_device)
        path, _, name = key.rpartition(".")
        owner = patcher.model.get_submodule(path)
        merged = getattr(owner, name).detach().to(patcher.offload_device)
        setattr(owner, name, nn.Parameter(merged, requires_grad=False))
    patcher.patches.clear()
    patcher.backup.clear()
