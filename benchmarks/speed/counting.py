"""What a pass and a step cost, counted on the meta device: operations from torch's counter, bytes from its hooks."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from comfy.ldm.modules import attention
from comfy.ldm.modules.diffusionmodules import mmdit
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from purecc_pack.purecc.branches import Branches, LoraSpec
from purecc_pack.purecc.fitting import layers
from purecc_pack.purecc.recipes import shares
from speed import models
from speed.sizes import Size
from speed.stages import KIND, Stage


@functools.cache
def pass_flops(size: Size, pixels: int, gradient: bool, checkpointing: bool = False, targets: str = "attention") -> int:
    """Floating point operations of one sample through the transformer with a LoRA of rank 4.

    Args:
        size: of the transformer.
        pixels: side of the picture.
        gradient: whether there is a backward pass, to the LoRA alone.
        checkpointing: whether every block is computed again in it.
        targets: of the LoRA.
    """
    network, branches = _adapted(size, targets)
    network.use_checkpoint = checkpointing
    counter = FlopCounterMode(display=False)
    with _attention(attention.attention_pytorch), branches.use("counted"), torch.set_grad_enabled(gradient), counter:
        out = _call(network, size, pixels, 1)
        if gradient:
            out.sum().backward()
    return counter.get_total_flops()


def step_flops(stage: Stage, size: Size, pixels: int, batch: int) -> int:
    """Model operations of a step of a stage: its passes through the transformer, nothing computed twice.

    What a trained token asks for, which is passes through two CLIPs and the modulations' gradients, is not among them.
    """
    targets = layers(stage.targets, stage.recipe, KIND)
    passes = shares(stage.recipe).items()
    return round(batch * sum(share * pass_flops(size, pixels, p.grad, targets=targets) for p, share in passes))


def operations(size: Size, pixels: int, samples: int, gradient: bool, lora: bool = True) -> int:
    """How many operations a pass begins, views aside: about the kernels that a GPU is given, one after the other.

    Args:
        size: of the transformer.
        pixels: side of the picture.
        samples: that go through it.
        gradient: whether there is a backward pass.
        lora: whether a LoRA of rank 4 on the attention takes part.
    """
    network, branches = _adapted(size)
    counter = _Operations()
    branch = branches.use("counted" if lora else None)
    with _attention(attention.attention_pytorch), branch, torch.set_grad_enabled(gradient), counter:
        out = _call(network, size, pixels, samples)
        if gradient:
            out.sum().backward()
    return counter.count


class _Operations(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += not (function.is_view or function is torch.ops.aten._unsafe_view.default)
        return function(*args, **(kwargs or {}))


def saved_bytes(size: Size, pixels: int, samples: int, checkpointing: bool = False) -> int:
    """Bytes that a pass keeps for its backward pass, weights not counted, with an attention that keeps no map.

    Args:
        size: of the transformer.
        pixels: side of the picture.
        samples: that go through it.
        checkpointing: whether every block is computed again.
    """
    network, branches = _adapted(size)
    network.use_checkpoint = checkpointing
    weights = {w.untyped_storage()._cdata for w in (*network.parameters(), *network.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(saved: Tensor) -> Tensor:
        storage = saved.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage  # held, so that no other storage gets its address
        return saved

    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved)
    with _attention(_flash), branches.use("counted"), hooks:
        out = _call(network, size, pixels, samples)
    del out
    return sum(storage.nbytes() for storage in kept.values())


def weight_bytes(size: Size) -> tuple[int, int]:
    """Bytes of the transformer, and of the position embeddings among them."""
    network = models.network(size)
    return sum(w.nbytes for w in network.state_dict().values()), network.pos_embed.nbytes


@functools.cache
def _adapted(size: Size, targets: str = "attention"):
    network = models.network(size)
    branches = Branches(network)
    branches.add("counted", LoraSpec(targets=targets), seed=0)
    return network, branches


def _call(network, size: Size, pixels: int, batch: int) -> Tensor:
    shapes = {"context": (batch, size.text_rows, 4096), "y": (batch, size.pooled)}
    text = {k: torch.empty(shape, device="meta", dtype=size.dtype) for k, shape in shapes.items()}
    x = torch.empty(batch, 16, pixels // 8, pixels // 8, device="meta", dtype=size.dtype)
    return network(x, torch.empty(batch, device="meta"), **text)


@contextmanager
def _attention(function) -> Iterator[None]:
    before, mmdit.optimized_attention = mmdit.optimized_attention, function
    try:
        yield
    finally:
        mmdit.optimized_attention = before


def _flash(q: Tensor, k: Tensor, v: Tensor, heads: int, **_) -> Tensor:
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) if x.ndim == 3 else x.transpose(1, 2) for x in (q, k, v))
    return _Flash.apply(q, k, v).transpose(1, 2).flatten(2)


class _Flash(torch.autograd.Function):
    """The shapes of a fused attention: of its map it keeps the logarithm of each row's sum alone."""

    @staticmethod
    def forward(ctx, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out, rows = torch.empty_like(q), torch.empty(q.shape[:-1], device=q.device)
        ctx.save_for_backward(q, k, v, out, rows)
        return out

    @staticmethod
    def backward(ctx, gradient: Tensor):
        raise NotImplementedError("only what is kept is counted")
