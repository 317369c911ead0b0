"""Which blocks of a network are computed again in the backward pass, so that less is kept of the forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


class Checkpointing:
    """Gradient checkpointing of the first so many blocks, the outputs and gradients being the same.

    The first, because they are computed again last, when what the later blocks kept is free: the memory of one block
    is then needed beside what all keep, and not on top of it.

    Args:
        blocks: in the order in which they run; they are changed in place until `first(0)`.
        in_place: whether a block changes its first argument, of which it then gets a copy.
    """

    def __init__(self, blocks: Sequence[nn.Module], in_place: bool = False):
        self._blocks, self._in_place = blocks, in_place
        self.count = 0

    def first(self, count: int) -> None:
        """Has this many of the blocks computed again, and no other."""
        self.count = max(0, min(count, len(self._blocks)))
        for i, block in enumerate(self._blocks):
            block.__dict__.pop("forward", None)
            if i < self.count:
                block.forward = partial(_again, block, self._in_place)

    @property
    def all(self) -> bool:
        """Whether it is every block."""
        return self.count == len(self._blocks)


def _again(block: nn.Module, in_place: bool, *args, **kwargs):
    def forward(x, *rest, **named):
        return type(block).forward(block, x.clone() if in_place else x, *rest, **named)

    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    # Nothing in these blocks is random, so no random state is kept.
    return checkpoint(forward, *args, use_reentrant=False, preserve_rng_state=False, **kwargs)
