"""Gradient checkpointing: blocks that are computed again in the backward pass, so that less is kept."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class Checkpointing:
    """Checkpoints the first blocks of a network; outputs and gradients stay the same.

    The first blocks are computed again last, when the memory of the later ones is free already.

    Args:
        blocks: in the order in which they run; they are changed in place until `first(0)`.
        in_place: whether a block changes its arguments; it then gets copies.
    """

    def __init__(self, blocks: Sequence[nn.Module], in_place: bool = False):
        self._blocks, self._in_place = blocks, in_place
        self.count = 0

    def first(self, count: int) -> None:
        """Checkpoint this many of the blocks and no other."""
        self.count = max(0, min(count, len(self._blocks)))
        for i, block in enumerate(self._blocks):
            block.__dict__.pop("forward", None)
            if i < self.count:
                block.forward = partial(_again, block, self._in_place)

    @property
    def all(self) -> bool:
        """Whether every block is checkpointed."""
        return self.count == len(self._blocks)


class KeptInputs:
    """Has every norm save a copy of its input, because blocks overwrite it in place before the backward pass.

    Without it PyTorch refuses the backward pass of such a block, or gives wrong gradients under checkpointing.

    Args:
        blocks: whose norms, modules with "Norm" in the name of their class, are meant.
    """

    def __init__(self, blocks: Sequence[nn.Module]):
        norms = {id(m): m for block in blocks for m in block.modules() if "Norm" in type(m).__name__}
        self._handles = [norm.register_forward_pre_hook(_with_copy) for norm in norms.values()]

    def remove(self) -> None:
        """Take the hooks off."""
        for handle in self._handles:
            handle.remove()


def _with_copy(_: nn.Module, args: tuple) -> tuple | None:
    if not args or not torch.is_grad_enabled():
        return None
    return (_copy(args[0]), *args[1:])


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) and value.is_floating_point() else value


def _again(block: nn.Module, in_place: bool, *args, **kwargs):
    def forward(*given, **named):
        if in_place:
            given, named = tuple(map(_copy, given)), {k: _copy(v) for k, v in named.items()}
        return type(block).forward(block, *given, **named)

    if not torch.is_grad_enabled():
        return type(block).forward(block, *args, **kwargs)
    # Nothing in these blocks is random, so no random state is kept.
    return checkpoint(forward, *args, use_reentrant=False, preserve_rng_state=False, **kwargs)
