"""Arithmetic in the widest of the types that come together, at least float32."""

# SPDX-License-Identifier: GPL-3.0-or-later

import functools
from typing import overload

import torch
from torch import Tensor


def widest(*tensors: Tensor) -> list[Tensor]:
    """Return tensors cast to the widest of their types and float32."""
    dtype = functools.reduce(torch.promote_types, (x.dtype for x in tensors), torch.float32)
    return [x.to(dtype) for x in tensors]


@overload
def per_sample(scale: Tensor, like: Tensor) -> Tensor: ...


@overload
def per_sample(scale: Tensor | float, like: Tensor) -> Tensor | float: ...


def per_sample(scale: Tensor | float, like: Tensor) -> Tensor | float:
    """Return a [B] scale shaped to multiply a [B, ...] tensor; numbers pass."""
    if not isinstance(scale, Tensor) or scale.ndim == 0:
        return scale
    return scale.reshape(-1, *[1] * (like.ndim - 1))
