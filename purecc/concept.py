"""Learned concept embeddings: input tokens, and the layer-wise vectors of equation (7)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class ConceptEmbedding(nn.Module):
    """What stands for [v] in the text.

    Attributes:
        tokens: per text encoder ("clip_l", "clip_g"), [n, width]: what its embedding table would hold for [v].
        layers: [L, hidden], one vector per joint block, which replaces the text stream at [v] at that block's
            input (7); None where layer-wise vectors are off.
    """

    def __init__(self, tokens: Mapping[str, Tensor], layers: Tensor | None = None):
        super().__init__()
        self.tokens = nn.ParameterDict({k: nn.Parameter(v.detach().float().clone()) for k, v in tokens.items()})
        self.layers = None if layers is None else nn.Parameter(layers.detach().float().clone())

    def freeze(self, tokens: bool = True, layers: bool = True) -> ConceptEmbedding:
        """Sets which parts are frozen; returns itself."""
        self.tokens.requires_grad_(not tokens)
        if self.layers is not None:
            self.layers.requires_grad_(not layers)
        return self

    @property
    def trainable(self) -> list[nn.Parameter]:
        """The parameters that are not frozen."""
        return [p for p in self.parameters() if p.requires_grad]

    def export(self) -> tuple[dict[str, Tensor], Tensor | None]:
        """Tokens and layer-wise vectors, detached, on the CPU."""
        layers = None if self.layers is None else self.layers.detach().cpu().clone()
        return {k: v.detach().cpu().clone() for k, v in self.tokens.items()}, layers


def insert(stream: Tensor, vector: Tensor, marks: Tensor) -> Tensor:
    """Y^l of equation (7): the text stream with one vector at the marked rows.

    Args:
        stream: [B, N, hidden].
        vector: [hidden].
        marks: [B, N], bool, or float in [0, 1] for a blend.

    Returns:
        [B, N, hidden].
    """
    if marks.dtype == torch.bool:
        return torch.where(marks.unsqueeze(-1), vector.to(stream.dtype), stream)
    return torch.lerp(stream, vector.to(stream.dtype).expand_as(stream), marks.unsqueeze(-1).to(stream.dtype))


class LayerHooks:
    """Puts layer-wise vectors into the blocks of a network, for the passes inside `use`."""

    def __init__(self, blocks: Sequence[nn.Module]):
        self._vectors: Tensor | None = None
        self.marks: Tensor | None = None
        self._handles = [b.register_forward_pre_hook(self._hook(i)) for i, b in enumerate(blocks)]

    def _hook(self, index: int):
        def before(_: nn.Module, args: tuple) -> tuple | None:
            if self._vectors is None or self.marks is None or args[0] is None:
                return None
            return (insert(args[0], self._vectors[index], self.marks), *args[1:])

        return before

    @contextmanager
    def use(self, vectors: Tensor | None) -> Iterator[None]:
        """Passes inside take these vectors [L, hidden] at their marks."""
        self._vectors, before = vectors, self._vectors
        try:
            yield
        finally:
            self._vectors = before

    def remove(self) -> None:
        """Takes the hooks off."""
        for handle in self._handles:
            handle.remove()


@torch.no_grad()
def observe_layers(blocks: Sequence[nn.Module], marks: Tensor, run) -> Tensor:
    """Where layer-wise vectors start: the text stream at the marked rows at every block's input in a pass.

    Args:
        blocks: the joint blocks.
        marks: [B, N] bool.
        run: a function without arguments that makes the pass.

    Returns:
        [L, hidden], float32, the mean over the marked rows.
    """
    seen: list[Tensor] = []

    def before(_: nn.Module, args: tuple) -> None:
        seen.append(args[0][marks].float().mean(0))

    handles = [b.register_forward_pre_hook(before) for b in blocks]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return torch.stack(seen)
