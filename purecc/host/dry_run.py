"""Passes of a private copy on the meta device: nothing is computed, and what they would hold is counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor

from ..checkpointing import Checkpointing
from ..field import Conditioning
from ..live_bytes import LiveBytes, meta_twin
from ..plan import Footprint
from .field import HostField


class DryRun:
    """Passes of the branch that is on while this is made.

    Args:
        field: the private copy, none of its blocks checkpointed.
        shape: of a latent, (C, H, W).
        y: a conditioning of batch size 1, whose tensors take a gradient where they will.
        layers: the layer-wise vectors.
    """

    def __init__(self, field: HostField, shape: tuple[int, ...], y: Conditioning, layers: Tensor | None):
        self._network, self._hooks, self._shape, self._y = meta_twin(field.module), field.hooks, shape, y
        self._dtype = field.base.get_dtype_inference()
        self._layers = None if layers is None else layers.detach().to("meta").requires_grad_(layers.requires_grad)

    def footprint(self, count: int) -> Footprint:
        """Of a pass with gradient of so many samples: two passes, no block checkpointed and every one."""
        blocks = len(self._network.joint_blocks)
        plain, outside, top = self._counted(count, 0)
        again, beside, top_again = self._counted(count, blocks)
        again = (again[0] + beside - outside, *again[1:])  # the first block's inputs, which nothing else may keep
        bare = Footprint(plain, again, outside, 0, 0)
        return replace(bare, passing=top - bare.kept(0), repeating=top_again - bare.repeated(blocks))

    def still(self, count: int) -> int:
        """The most bytes in a pass without gradient of so many samples."""
        if not count:
            return 0
        with LiveBytes() as live, torch.no_grad():
            self._pass(count)
        return live.peak

    def _counted(self, count: int, checkpointed: int) -> tuple[tuple[int, ...], int, int]:
        """(kept by each block, kept outside, the peak)."""
        blocks, edges = self._network.joint_blocks, []
        live = LiveBytes()

        def edge(*_) -> None:
            edges.append(live.live)

        handles = [b.register_forward_pre_hook(edge) for b in blocks] + [blocks[-1].register_forward_hook(edge)]
        checkpointing = Checkpointing(blocks)
        checkpointing.first(checkpointed)
        with live:
            out = self._pass(count)
            kept = live.live
            out.sum().backward()
        checkpointing.first(0)
        for handle in handles:
            handle.remove()
        self._network.zero_grad(set_to_none=True)
        each = tuple(after - before for before, after in pairwise(edges))
        return each, kept - sum(each), live.peak

    def _pass(self, count: int) -> Tensor:
        """A velocity; a trained token has the pooled vector take a gradient too, and with it every modulation."""

        def empty(like: Tensor) -> Tensor:
            # A number made large, since a graph keeps its leaves, which these are not in training.
            leaf = torch.empty([1] * like.ndim, device="meta", dtype=like.dtype, requires_grad=like.requires_grad)
            return leaf.expand(count, *like.shape[1:]).clone()

        x = torch.empty(count, *self._shape, device="meta", dtype=self._dtype)
        # A batch of what the conditioner gives is alive while the pass runs, and its parts where they are made for it.
        given = {"context": empty(self._y.context), "y": empty(self._y.fields["pooled_output"])}
        parts = [empty(self._y.context)] if given["context"].requires_grad else []
        text = {k: v.to(self._dtype) for k, v in given.items()}
        self._hooks.marks = empty(self._y.marks)
        try:
            with self._hooks.use(self._layers):
                options = {"optimized_attention_override": _fused}
                return self._network(x, torch.empty(count, device="meta"), **text, transformer_options=options).float()
        finally:
            self._hooks.marks = None
            del given, parts


def _fused(_: Callable, q: Tensor, k: Tensor, v: Tensor, heads: int, **__) -> Tensor:
    """The shapes of an attention that keeps no map, as the host has it on a GPU; the meta device alone has none."""
    q, k, v = (x.unflatten(-1, (heads, -1)) if x.ndim == 3 else x for x in (q, k, v))
    out = torch.ops.aten._scaled_dot_product_flash_attention(*(x.transpose(1, 2) for x in (q, k, v)))[0]
    return out.transpose(1, 2).flatten(2)
