"""Private copies of the user's models: training touches these and nothing of the user's."""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from comfy import memory_management, model_management
from comfy.model_patcher import ModelPatcher
from torch import Tensor, nn

LENT = (
    *("_v", "_v_weight", "_v_bias", "_v_signature", "_prefetch"),
    *("_pin_state", "_pins", "weight_lowvram_function", "bias_lowvram_function"),
    *("dynamic_vbars", "dynamic_pins", "dynamic_patchers"),
)
"""What the host's dynamic VRAM puts on a model and its modules: handles of memory that a copy neither has nor may free.

A module with `_v` computes with what lies in that memory and not with its weights.
"""

OVERRIDDEN = ("comfy_cast_weights", "weight_function", "bias_function")
"""What it sets on a module besides, over the value of the module's class."""


@contextmanager
def trainable_world() -> Iterator[None]:
    """Autograd as training needs it, inside a host that runs every prompt in inference mode."""
    before = model_management.in_training
    model_management.in_training = True
    try:
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        model_management.in_training = before


@contextmanager
def private_copy(patcher: ModelPatcher, without: tuple[str, ...] = ()) -> Iterator[ModelPatcher]:
    """A copy of a model with the patches on it merged, wholly loaded, without gradients; freed on leaving.

    To be entered inside `trainable_world`, with the user's model unloaded (its weights are then unpatched).

    Args:
        patcher: the user's MODEL, or the patcher of the user's CLIP.
        without: submodules that the copy does not need.
    """
    private = None
    try:
        with torch.no_grad():
            private = _copy(patcher, without)
            model_management.load_models_gpu([private], force_full_load=True)
            # Autograd refuses what was made in inference mode.
            _replace(private.model, lambda m, name, x: x.detach().clone() if x.is_inference() else None)
            # The patches are merged for good: a later unload has nothing to restore, nor a copy of weights to keep.
            private.patches.clear()
            private.backup.clear()
        private.model.requires_grad_(False)
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
    else:  # The loader left no way to load again, or parts are not wanted.
        bare = _bare_copy(patcher.model, without)
        private = patcher.clone(disable_dynamic=True, model_override=(bare, ({}, {}, {}, set())))
    if memory_management.aimdo_enabled:
        _replace(private.model, _as_decided)
    private.size = 0  # to be measured: the user's may have other parts and types
    return private


def _bare_copy(model: nn.Module, without: tuple[str, ...]) -> nn.Module:
    """A copy of the networks, their shell shared, without what dynamic VRAM put on the user's."""
    shell = copy.copy(model)
    lent = [vars(module).get(name) for module in model.modules() for name in LENT]
    memo = {id(x): ... for x in lent if not isinstance(x, (int, str, type(None)))}
    memo[id(model)] = shell
    shell._parameters, shell._buffers = copy.deepcopy((model._parameters, model._buffers), memo)
    shell._modules = {k: None if k in without else copy.deepcopy(m, memo) for k, m in model._modules.items()}
    for module in shell.modules():
        for name in (*LENT, *OVERRIDDEN) if "_v_signature" in vars(module) else LENT:
            vars(module).pop(name, None)
    return shell


def _as_decided(module: nn.Module, name: str, tensor: Tensor) -> Tensor | None:
    """A tensor as the host decided, if it is not: with dynamic VRAM it has the type of the file until it is used."""
    dtype = getattr(module, f"{name}_comfy_model_dtype", None)
    plain = type(tensor) in (Tensor, nn.Parameter) and tensor.is_floating_point()
    return tensor.to(dtype) if plain and dtype not in (None, tensor.dtype) else None


def _replace(model: nn.Module, change: Callable[[nn.Module, str, Tensor], Tensor | None]) -> None:
    """Puts what `change` makes of parameters and buffers, given with their module and name, in their place."""
    for module in model.modules():
        for store in (module._parameters, module._buffers):
            for name, tensor in store.items():
                new = None if tensor is None else change(module, name, tensor)
                if new is not None:
                    store[name] = nn.Parameter(new, requires_grad=False) if store is module._parameters else new
