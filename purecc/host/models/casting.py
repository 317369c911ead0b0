"""Compute the linear layers of a private copy with weights that are cast, dequantised or fetched when they are used."""

# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from comfy import model_management, ops
from comfy.quant_ops import QuantizedTensor
from torch import Tensor, nn

from ...network.linear import is_linear, product, rounds


def cast_when_used(model: nn.Module) -> None:
    """Have the host's linear layers multiply by the weights that a model's samplers merge LoRAs into: dequantised ones.

    The host multiplies quantised inputs where the device can, and has no backward pass for some formats. Here every
    format has one, it keeps no weight, and branches with and without gradient compute alike. Layers of other packs
    stay as they are.

    Args:
        model: a private copy; its layers are changed for good.
    """
    for layer in model.modules():
        if is_linear(layer) and _of_host(layer):
            layer.forward = partial(_forward, layer)


def multiply_in(model: nn.Module, dtype: torch.dtype) -> None:
    """Have the linear layers of a private copy multiply in a type; what comes out has the type of what goes in.

    Their weights are held in it, so that no pass casts them. Those of 8 bits or less stay as they are, and so does all
    that is no product of a layer: norms, attention and sums.

    Args:
        model: a private copy, after `cast_when_used`.
        dtype: of the products.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Linear) and _of_host(layer) and not rounds(layer):
            for name, own in list(layer.named_parameters(recurse=False)):
                setattr(layer, name, nn.Parameter(own.to(dtype), requires_grad=False))
            layer.forward = partial(_forward_in, layer, dtype)  # type: ignore[method-assign]


def own_copy(tensor: Tensor) -> Tensor:
    """Return a copy of a tensor, or of a parameter as one without gradient, made outside of inference mode."""
    own = tensor.detach().clone()
    return nn.Parameter(own, requires_grad=False) if isinstance(tensor, nn.Parameter) else own


def _of_host(layer: nn.Module) -> bool:
    """Return whether a layer computes with the host's own functions alone."""
    functions = [getattr(type(layer), name, None) for name in ("forward", "forward_comfy_cast_weights")]
    return all(getattr(function, "__module__", None) == ops.__name__ for function in functions)


def _forward(layer: nn.Module, x: Tensor) -> Tensor:
    ops.run_every_op()  # the host's cancel button
    if (scale := getattr(layer, "pre_quant_scale", None)) is not None:
        x = x * model_management.cast_to_device(scale, x.device, x.dtype)
    casts = layer.comfy_cast_weights or layer.weight_function or layer.bias_function
    if isinstance(layer, nn.Linear) and not casts:
        return nn.functional.linear(x, layer.weight, layer.bias)
    return product(x, partial(_fetched, layer, x.dtype, x.device))


def _forward_in(layer: nn.Module, dtype: torch.dtype, x: Tensor) -> Tensor:
    return _forward(layer, x.to(dtype)).to(x.dtype)


@contextmanager
def _fetched(layer: nn.Module, dtype: torch.dtype, device: torch.device) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Give a layer's weight and bias as the host casts them, dequantised."""
    if device.type == "meta" and isinstance(layer.weight, QuantizedTensor):  # formats have no kernels there
        yield torch.empty(layer.weight.shape, dtype=dtype, device=device), getattr(layer, "bias", None)
        return
    given = {"dtype": dtype, "bias_dtype": dtype, "compute_dtype": dtype, "device": device}
    weight, bias, stream = ops.cast_bias_weight(layer, offloadable=True, **given)
    try:
        yield _plain(weight), bias
    finally:
        ops.uncast_bias_weight(layer, weight, bias, stream)


def _plain(weight: Tensor) -> Tensor:
    return weight.dequantize() if isinstance(weight, QuantizedTensor) else weight
