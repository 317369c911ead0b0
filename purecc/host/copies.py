"""Private copies of the user's models: training touches these and nothing of the user's."""

from __future__ import annotations

import copy
import gc
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from comfy import model_management
from comfy.model_patcher import ModelPatcher
from torch import nn


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
            _plain_tensors(private.model)
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
        return patcher.clone(disable_dynamic=True, force_deepcopy=True)
    # The loader left no way to load again, or parts are not wanted: the networks are copied, their shell shared.
    shell = copy.copy(patcher.model)
    shell._modules = {k: None if k in without else copy.deepcopy(m) for k, m in shell._modules.items()}
    return patcher.clone(disable_dynamic=True, model_override=(shell, ({}, {}, {}, set())))


def _plain_tensors(model: nn.Module) -> None:
    """Replaces what was made in inference mode, which autograd refuses, by clones."""
    for module in model.modules():
        for store in (module._parameters, module._buffers):
            for name, tensor in store.items():
                if tensor is not None and tensor.is_inference():
                    clone = tensor.detach().clone()
                    store[name] = nn.Parameter(clone, requires_grad=False) if store is module._parameters else clone
