"""Replace operators of the host that have no backward pass while something is trained."""

# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any

import comfy_kitchen
import torch
from comfy.ldm.modules import attention
from comfy_kitchen.backends.eager import rope
from torch import Tensor

_NAMES = ("apply_rope", "apply_rope1", "apply_rope_split_half", "apply_rope_split_half1")
ROTARY = tuple(
    name
    for name in (*_NAMES, *(name.replace("apply_", "rms_") for name in _NAMES))
    if hasattr(comfy_kitchen, name) and hasattr(rope, name)
)
"""The fused rotary operators; their eager twins are plain PyTorch."""


@contextmanager
def differentiable_operators() -> Iterator[None]:
    """Use rotary operators and attention with a backward pass inside."""
    with ExitStack() as stack:
        for name in ROTARY:
            stack.enter_context(_replaced(comfy_kitchen, name, getattr(rope, name)))
        for module, name in _attentions():
            stack.enter_context(_replaced(module, name, _differentiable(getattr(module, name))))
        yield


@contextmanager
def _replaced(module: ModuleType, name: str, by: Callable) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, by)
    try:
        yield
    finally:
        setattr(module, name, before)


def _attentions() -> list[tuple[ModuleType, str]]:
    """Return where networks hold the host's attention, as (module, name).

    Not in the host's own module of attention, whose networks pass options on. Text encoders ask it for a function.
    """
    networks = [m for n, m in list(sys.modules.items()) if n.startswith("comfy.ldm.") and m is not attention]
    return [
        (m, name) for m in networks for name in ("optimized_attention", "optimized_attention_masked") if name in vars(m)
    ]


def _differentiable(own: Callable) -> Callable:
    """Return an attention that takes `attention_options` where a network does not pass its options on.

    In inference mode, in which samples are decoded between steps, it is the host's own.
    """

    def attend(*given: Any, **named: Any) -> Tensor:
        if torch.is_inference_mode_enabled():
            return own(*given, **named)
        options = named.get("transformer_options") or {}
        return own(*given, **{**named, "transformer_options": {**attention_options(), **options}})

    return attend


FEW = 1024
"""Tokens up to which the host's attention for the CPU works in one piece, and thus has a backward pass."""


def attention_options() -> dict:
    """Return the transformer options for an attention with a backward pass: PyTorch's.

    Only at few tokens the host's attention for the CPU stays, so that small models train to the same bits as ever.
    """
    return {"optimized_attention_override": _attention}


def _attention(own: Callable, q: Tensor, k: Tensor, v: Tensor, *given: Any, **named: Any) -> Tensor:
    plain = own is inspect.unwrap(attention.attention_sub_quad) and max(q.shape[-2], k.shape[-2]) <= FEW
    return (own if plain else attention.attention_pytorch)(q, k, v, *given, **named)
