"""A model that computes in float64, also where the host's networks ask for float32."""

from contextlib import contextmanager

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class _Doubles(TorchFunctionMode):
    """Reads every float32 that a function is asked for as float64."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is Tensor.float:
            func = Tensor.double if args[0].dtype != torch.bfloat16 else func
        args = [torch.float64 if arg is torch.float32 else arg for arg in args]
        kwargs = {k: torch.float64 if v is torch.float32 else v for k, v in (kwargs or {}).items()}
        return func(*args, **kwargs)


@contextmanager
def doubles():
    """Compute in float64 inside."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with _Doubles():
            yield
    finally:
        torch.set_default_dtype(before)


def doubled(base):
    """A model's network and schedule in float64, in place."""
    base.diffusion_model.to(torch.float64)
    base.diffusion_model.dtype = torch.float64
    base.model_sampling.to(torch.float64)
    base.manual_cast_dtype = None
    return base


def gradients(loss, weights):
    """The gradient of a loss for each weight, None for those that it does not depend on.

    `torch.autograd.grad` would leave the mode for the time of the backward pass, and checkpointing computes in it.
    """
    one = torch.ones((), dtype=loss.dtype)
    run = torch.autograd.Variable._execution_engine.run_backward
    return run((loss,), (one,), False, False, tuple(weights), allow_unreachable=True, accumulate_grad=False)
