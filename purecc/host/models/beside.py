"""Apply LoRAs beside layers whose weights cannot take them: the host would round the sum to 8 bits or less."""

# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from comfy.model_base import BaseModel
from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import WrappersMP
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ...network.linear import is_linear, rounds

ENDS = (".lora_up.weight", ".lora_down.weight", ".alpha")


def split(base: BaseModel, lora: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the part of a LoRA that the host can merge into the weights without loss, and the rest.

    Args:
        base: the model.
        lora: as `LoraBranches.export` gives it.
    """
    rounded = {name for name, module in base.named_modules() if is_linear(module) and _rounds(module)}
    paths = {key: next((key.removesuffix(end) for end in ENDS if key.endswith(end)), key) for key in lora}
    merged = {key: tensor for key, tensor in lora.items() if paths[key] not in rounded}
    return merged, {key: tensor for key, tensor in lora.items() if key not in merged}


def _rounds(layer: nn.Module) -> bool:
    decided = getattr(layer, "weight_comfy_model_dtype", None)  # what the host's dynamic VRAM will cast the weight to
    return rounds(layer) or (decided is not None and decided.itemsize == 1)


class BesideLora:
    """Adds a LoRA to the outputs of layers while a model runs; a wrapper of the host's `apply_model`.

    Args:
        lora: the second part of `split`.
        strength: factor of the LoRA.
    """

    def __init__(self, lora: Mapping[str, Tensor], strength: float):
        self._pairs: dict[str, _Pair] = {}
        for key in lora:
            if key.endswith(ENDS[0]):
                path = key.removesuffix(ENDS[0])
                up, down = (lora[path + end] for end in ENDS[:2])
                alpha = float(lora.get(path + ENDS[2], down.shape[0]))
                self._pairs[path] = _Pair(up, down, strength * alpha / down.shape[0])

    def __call__(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        """Run the model with the LoRA."""
        with self._on(executor.class_obj):
            return executor(*args, **kwargs)

    def attach(self, base: BaseModel) -> list[RemovableHandle]:
        """Add the LoRA to a model for good; return the handles that take it off."""
        return [
            base.get_submodule(path).register_forward_hook(partial(_add, pair)) for path, pair in self._pairs.items()
        ]

    @contextmanager
    def _on(self, base: BaseModel) -> Iterator[None]:
        handles = self.attach(base)
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


class _Pair:
    """B and A of a layer; their product is computed as in training, see `network.lora.Matrix`."""

    def __init__(self, up: Tensor, down: Tensor, scale: float):
        self._weights, self._scale = (down.detach().clone(), up.detach().clone()), scale

    def __call__(self, x: Tensor) -> Tensor:
        dtype = x.dtype if x.dtype == torch.bfloat16 else torch.float32
        out = x.to(dtype)
        self._weights = self._weights if self._weights[0].device == x.device else self._to(x.device)
        for weight in self._weights:
            out = nn.functional.linear(out, weight.to(dtype))
        return out * self._scale

    def _to(self, device: torch.device) -> tuple[Tensor, Tensor]:
        down, up = self._weights
        return down.to(device), up.to(device)


def _add(pair: _Pair, _: nn.Module, args: tuple, out: Tensor) -> Tensor:
    return (out + pair(args[0])).to(out.dtype)


def attach_to_copy(private: ModelPatcher) -> None:
    """Add the LoRAs that the user applied beside layers to a private copy, which runs without the host's wrappers."""
    for wrapper in private.get_all_wrappers(WrappersMP.APPLY_MODEL):
        if isinstance(wrapper, BesideLora):
            wrapper.attach(private.model)
