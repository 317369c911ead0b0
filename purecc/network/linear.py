"""Recognise linear layers of every kind, adapt them, and multiply by weights that exist only while they are used."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

Fetch = Callable[[], AbstractContextManager[tuple[Tensor, Tensor | None]]]
"""Gives the weight [out, in] and the bias [out] of a layer for the time of a `with`."""


def is_linear(module: nn.Module) -> bool:
    """Return whether a module is one linear layer, quantised ones and those of other packs included.

    It then has whole numbers `in_features` and `out_features`. A bank of experts has them too, and is none.
    """
    features = getattr(module, "in_features", None), getattr(module, "out_features", None)
    return all(isinstance(n, int) for n in features) and not hasattr(module, "num_experts")


def shape_of(module: nn.Module | None) -> tuple[int, int] | None:
    """Return (out, in) of a linear layer, whatever its weight is packed into; None for other modules."""
    return (module.out_features, module.in_features) if module is not None and is_linear(module) else None  # type: ignore[return-value]


def matrix_shape(module: nn.Module) -> tuple[int, int] | None:
    """Return (out, in) of a linear layer, or of a convolution whose kernel is laid out in a row; None for others."""
    if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
        return len(module.weight), module.weight[0].numel()
    return shape_of(module)


def product(x: Tensor, fetch: Fetch) -> Tensor:
    """Return W x + b, [..., out], with a gradient to x alone: grad · W, for which the weight is fetched again.

    Nothing is kept for the backward pass, so that a weight which was cast, dequantised or copied to the device is gone
    as soon as it was used.

    Args:
        x: [..., in].
        fetch: gives weight and bias, the same ones each time.
    """
    # A view of what the function returns may be overwritten in place, as blocks do; a view that it returns may not.
    rows = x.reshape(-1, x.shape[-1])
    out = _Product.apply(rows, fetch)
    return out.view(*x.shape[:-1], out.shape[-1])


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, fetch: Fetch) -> Tensor:
        ctx.fetch = fetch
        with fetch() as (weight, bias):
            return nn.functional.linear(rows, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        with ctx.fetch() as (weight, _):
            return gradient @ weight, None


@functools.cache
def _beside_linear() -> type[nn.Module]:
    """Return the class of a LoRA beside a layer whose weight says nothing of the LoRA's type: quantised or packed."""
    from peft.tuners.lora import Linear  # takes seconds, which the host's start should not

    class BesideLinear(Linear):
        def _move_adapter_to_device_of_base_layer(self, adapter_name: str, device: torch.device | None = None) -> None:
            """Leave A and B in float32; `LoraBranches` places them."""

    return BesideLinear


def rounds(layer: nn.Module) -> bool:
    """Return whether a change of the layer's weight would be rounded to 8 bits or less, or cannot be made at all."""
    weight = getattr(layer, "weight", None)
    if not isinstance(weight, Tensor) or type(weight) not in (Tensor, nn.Parameter):
        return True
    return not weight.is_floating_point() or weight.itemsize == 1 or weight.shape != shape_of(layer)


@contextmanager
def adaptable(layers: Sequence[nn.Module]) -> Iterator[dict[type[nn.Module], type[nn.Module]]]:
    """Give what peft must know of these layers: a LoRA class for each class of layer that needs ours.

    Inside, a layer without a weight seems to have one, since peft looks at where it is.
    """
    bare = [layer for layer in layers if not hasattr(layer, "weight")]
    for layer in bare:
        vars(layer)["weight"] = torch.empty(0)
    try:
        yield {type(layer): _beside_linear() for layer in layers if rounds(layer) or not isinstance(layer, nn.Linear)}
    finally:
        for layer in bare:
            del vars(layer)["weight"]
