"""Dry runs of passes on the meta device: their memory is counted and nothing is computed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from ...network.checkpointing import Checkpointing
from ...network.field import Conditioning, cat
from ...training.live_bytes import LiveBytes, meta_twin
from ...training.memory_plan import Footprint
from ..models.field import HostField


class Uncountable(Exception):
    """The model does something that the meta device cannot."""


class DryRun:
    """Dry runs of the branch that is on while this is made.

    Args:
        field: the private copy, none of its blocks checkpointed.
        shape: of a latent, (C, H, W).
        y: a conditioning of batch size 1, whose tensors take a gradient where they will.
        layers: the layer-wise vectors.
    """

    def __init__(self, field: HostField, shape: tuple[int, ...], y: Conditioning, layers: Tensor | None):
        self._real, self._shape, self._y = field, shape, y
        self._field = copy.copy(field)
        self._field.base = copy.copy(field.base)
        # The objects around the networks are the host's own.
        self._field.base._modules = {name: meta_twin(m) for name, m in field.base._modules.items() if m is not None}
        self._network = self._field.base.diffusion_model
        self._blocks = field.family.blocks_of(self._network)
        self._layers = None if layers is None else layers.detach().to("meta").requires_grad_(layers.requires_grad)

    def footprint(self, count: int) -> Footprint:
        """Return what a pass with gradient holds, from one with no block checkpointed and one with all.

        Raises:
            Uncountable: see there.
        """
        blocks = len(self._blocks)
        with _countable():
            plain, outside, top = self._counted(count, 0)
            again, beside, top_again = self._counted(count, blocks)
        again = (again[0] + beside - outside, *again[1:])  # the first block's inputs, which nothing else may keep
        bare = Footprint(plain, again, outside, 0, 0)
        return replace(bare, passing=top - bare.kept(0), repeating=top_again - bare.repeated(blocks))

    def still(self, count: int) -> int:
        """Return the most bytes in a pass without gradient of so many samples.

        Raises:
            Uncountable: see there.
        """
        if not count:
            return 0
        with torch.no_grad():
            inputs = self._inputs(count)
            with _countable(), LiveBytes() as live:
                self._pass(count, inputs)
        return live.peak

    def _counted(self, count: int, checkpointed: int) -> tuple[tuple[int, ...], int, int]:
        """Return the bytes kept by each block, those kept outside, and the peak."""
        blocks, live = self._blocks, LiveBytes()
        edges: list[int] = []

        def edge(*_) -> None:
            edges.append(live.live)

        handles = [b.register_forward_pre_hook(edge) for b in blocks] + [blocks[-1].register_forward_hook(edge)]
        checkpointing = Checkpointing(blocks, self._field.family.in_place)
        checkpointing.first(checkpointed)
        inputs = self._inputs(count)
        with live:
            out = self._pass(count, inputs)
            kept = live.live
            out.sum().backward()
        checkpointing.first(0)
        for handle in handles:
            handle.remove()
        self._network.zero_grad(set_to_none=True)
        each = tuple(after - before for before, after in pairwise(edges))
        return each, kept - sum(each), live.peak

    def _inputs(self, count: int) -> dict[str, Any]:
        """Return the network's inputs of a pass, with gradients but without data beside small leaves.

        They are made of real tensors, because some models look into them.
        """
        x = torch.zeros(count, *self._shape, device=self._real.device)
        return tree_map(
            lambda v: _leaf(v) if isinstance(v, Tensor) else v, self._real.inputs(x, cat([self._y] * count))
        )

    def _pass(self, count: int, inputs: dict[str, Any]) -> Tensor:
        """Run a pass; with a trained token the pooled vector takes a gradient too, and with it every modulation."""
        # A batch of what the conditioner gives is alive while the pass runs, and its parts where they are made for it.
        given = _empty(_leaf(self._y.context), count)
        parts = [_empty(_leaf(self._y.context), count)]  # of which the inputs are made
        made = {k: tree_map(lambda v: _empty(v) if isinstance(v, Tensor) else v, v) for k, v in inputs.items()}
        if not given.requires_grad:
            parts.clear()
        x, t = torch.empty(count, *self._shape, device="meta"), torch.full((count,), 0.5, device="meta")
        marks = _empty(_leaf(self._y.marks), count)
        with self._field.hooks.use(self._layers):
            v = self._field.predict(x, t, made, marks, {"optimized_attention_override": _fused})
        del given, parts
        return v


@contextmanager
def _countable() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise Uncountable(f"{type(error).__name__}: {error}") from error


def _leaf(like: Tensor) -> Tensor:
    """Return a meta tensor of that shape on a storage of one number, since a graph keeps its leaves."""
    one = torch.empty([1] * like.ndim, device="meta", dtype=like.dtype)
    return one.expand(like.shape).detach().requires_grad_(like.requires_grad)


def _empty(leaf: Tensor, count: int | None = None) -> Tensor:
    """Return a leaf with all its numbers, as many rows as given."""
    return (leaf if count is None else leaf.expand(count, *leaf.shape[1:])).clone()


def _fused(
    _: Callable, q: Tensor, k: Tensor, v: Tensor, heads: int, *__, skip_reshape=False, skip_output_reshape=False, **___
) -> Tensor:
    """Return the shapes of an attention that keeps no map, as the host has on a GPU; the meta device has none."""
    if not skip_reshape:
        q, k, v = ((x.unflatten(-1, (heads, -1)) if x.ndim == 3 else x).transpose(1, 2) for x in (q, k, v))
    out = torch.ops.aten._scaled_dot_product_flash_attention(q, k, v)[0]
    return out if skip_output_reshape else out.transpose(1, 2).flatten(2)
