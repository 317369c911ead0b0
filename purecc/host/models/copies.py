"""Make private copies of the user's models; training changes these alone."""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from comfy import memory_management, model_management
from comfy.model_patcher import ModelPatcher
from comfy.quant_ops import QuantizedTensor
from torch import Tensor, nn

from .casting import cast_when_used, own_copy
from .differentiable import differentiable_operators
from .loading import first_reserve, load

LENT = (
    *("_v", "_v_weight", "_v_bias", "_v_signature", "_prefetch"),
    *("_pin_state", "_pins", "weight_lowvram_function", "bias_lowvram_function"),
    *("dynamic_vbars", "dynamic_pins", "dynamic_patchers"),
)
"""Attributes that the host's dynamic VRAM puts on a model and its modules: handles of memory that a copy does not own.

A module with `_v` computes with that memory instead of its weights.
"""

OVERRIDDEN = ("comfy_cast_weights", "weight_function", "bias_function")
"""Attributes that it sets on a module over the value of the module's class."""


@contextmanager
def trainable_world() -> Iterator[None]:
    """Enable autograd for training inside the host, which runs every prompt in inference mode."""
    before = model_management.in_training
    model_management.in_training = True
    try:
        with torch.inference_mode(False), torch.enable_grad(), differentiable_operators():
            yield
    finally:
        model_management.in_training = before


@contextmanager
def private_copy(patcher: ModelPatcher, without: tuple[str, ...] = ()) -> Iterator[ModelPatcher]:
    """Give a copy of a model with its patches merged, loaded as far as it fits, without gradients; freed on leaving.

    Enter it inside `trainable_world`, with the user's model unloaded (its weights are then unpatched).

    Args:
        patcher: the user's MODEL, or the patcher of the user's CLIP.
        without: submodules to leave out.
    """
    private = None
    try:
        with torch.no_grad():
            private = _copy(patcher, without)
            load([private], first_reserve([private]))
            # Autograd refuses tensors made in inference mode.
            _replace(private.model, lambda m, name, x: own_copy(x) if x.is_inference() else None)
            # The merged patches stay: a later unload has no weights to restore or keep.
            private.patches.clear()
            private.backup.clear()
        private.model.requires_grad_(False)
        cast_when_used(private.model)
        yield private
    finally:
        if private is not None:
            model_management.unload_model_and_clones(private)
        private = None
        gc.collect()
        model_management.soft_empty_cache()


def _copy(patcher: ModelPatcher, without: tuple[str, ...]) -> ModelPatcher:
    if patcher.cached_patcher_init is not None and not without:
        private = patcher.clone(disable_dynamic=True, force_deepcopy=True)
    else:  # the loader cannot load again, or submodules are left out
        bare = _bare_copy(patcher.model, without)
        private = patcher.clone(disable_dynamic=True, model_override=(bare, ({}, {}, {}, set())))
    if memory_management.aimdo_enabled:
        _replace(private.model, _as_decided)
    private.size = 0  # measured anew: submodules and dtypes may differ from the user's
    return private


def _bare_copy(model: nn.Module, without: tuple[str, ...]) -> nn.Module:
    """Copy the networks but not the objects around them, without the attributes that dynamic VRAM set."""
    shell = copy.copy(model)
    lent = [vars(module).get(name) for module in model.modules() for name in LENT]
    memo: dict[int, Any] = {id(x): ... for x in lent if not isinstance(x, (int, str, type(None)))}
    memo[id(model)] = shell
    kept = [m for name, m in model._modules.items() if m is not None and name not in without]
    quantised = [x for module in kept for x in module.parameters() if isinstance(x, QuantizedTensor)]
    memo |= {id(x): own_copy(x) for x in quantised}  # which Python's own copy cannot make
    shell._parameters, shell._buffers = copy.deepcopy((model._parameters, model._buffers), memo)
    shell._modules = {k: None if k in without else copy.deepcopy(m, memo) for k, m in model._modules.items()}
    for module in shell.modules():
        for name in (*LENT, *OVERRIDDEN) if "_v_signature" in vars(module) else LENT:
            vars(module).pop(name, None)
    return shell


def _as_decided(module: nn.Module, name: str, tensor: Tensor) -> Tensor | None:
    """Return a tensor in the dtype that the host chose, or None if it has it; dynamic VRAM casts only on use."""
    dtype = getattr(module, f"{name}_comfy_model_dtype", None)
    plain = type(tensor) in (Tensor, nn.Parameter) and tensor.is_floating_point()
    return tensor.to(dtype) if plain and dtype not in (None, tensor.dtype) else None


def _replace(model: nn.Module, change: Callable[[nn.Module, str, Tensor], Tensor | None]) -> None:
    """Replace the parameters and buffers for which `change(module, name, tensor)` returns a tensor."""
    for module in model.modules():
        stores: tuple[dict[str, Any], ...] = (module._parameters, module._buffers)
        for store in stores:
            for name, tensor in store.items():
                new = None if tensor is None else change(module, name, tensor)
                if new is not None:
                    store[name] = nn.Parameter(new, requires_grad=False) if store is module._parameters else new
