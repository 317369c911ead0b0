"""Learned concept embeddings: input tokens, and the layer-wise vectors of equation (7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


class ConceptEmbedding(nn.Module):
    """The vectors that stand for [v] in a text.

    Attributes:
        tokens: per text encoder ("clip_l", "clip_g"), [n, width]: the rows of its embedding table for [v].
        layers: [L, hidden], one vector for each block that takes text, which replaces the text stream at [v] at that
            block's input (7); None where layer-wise vectors are off.
    """

    def __init__(self, tokens: Mapping[str, Tensor], layers: Tensor | None = None):
        super().__init__()
        self.tokens = nn.ParameterDict({k: nn.Parameter(v.detach().float().clone()) for k, v in tokens.items()})
        self.layers = None if layers is None else nn.Parameter(layers.detach().float().clone())

    def freeze(self, tokens: bool = True, layers: bool = True) -> ConceptEmbedding:
        """Set which parts are frozen; return self."""
        self.tokens.requires_grad_(not tokens)
        if self.layers is not None:
            self.layers.requires_grad_(not layers)
        return self

    @property
    def trainable(self) -> list[nn.Parameter]:
        """The parameters that are not frozen."""
        return [p for p in self.parameters() if p.requires_grad]

    def export(self) -> tuple[dict[str, Tensor], Tensor | None]:
        """Return tokens and layer-wise vectors, detached, on the CPU."""
        layers = None if self.layers is None else self.layers.detach().cpu().clone()
        return {k: v.detach().cpu().clone() for k, v in self.tokens.items()}, layers


def insert(stream: Tensor, vector: Tensor, marks: Tensor) -> Tensor:
    """Return Y^l of equation (7): the text stream with one vector at the marked rows.

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


def text_first(stream: int, text: int) -> int:
    """Return 0: the rows of the text are the first of a block's input."""
    return 0


@dataclass(frozen=True)
class TextInput:
    """Where a block takes the text stream.

    Attributes:
        block: the block.
        argument: its name, or its position.
        before: given the rows of the argument and those of the text, returns how many rows are before the text's first.
    """

    block: nn.Module
    argument: int | str = 0
    before: Callable[[int, int], int] = text_first

    def read(self, args: tuple, kwargs: Mapping[str, Any]) -> Tensor | None:
        """Return the text stream among a call's arguments, [B, S, hidden]."""
        if isinstance(self.argument, str):
            return kwargs.get(self.argument)
        return args[self.argument]

    def replaced(self, args: tuple, kwargs: dict[str, Any], stream: Tensor) -> tuple[tuple, dict[str, Any]]:
        """Return a call's arguments with another text stream."""
        if isinstance(self.argument, str):
            return args, {**kwargs, self.argument: stream}
        return (*args[: self.argument], stream, *args[self.argument + 1 :]), kwargs

    def rows(self, stream: Tensor, marks: Tensor) -> Tensor:
        """Return marks of the text's rows, [B, N], as marks of the stream's rows, [B, S].

        Some networks lay the prompts of a batch end to end in one row of the stream; the marks follow.
        """
        marks = marks.reshape(stream.shape[0], -1)
        before = self.before(stream.shape[1], marks.shape[1])
        return nn.functional.pad(marks, (before, stream.shape[1] - before - marks.shape[1]))


class LayerHooks:
    """Inserts layer-wise vectors into the blocks of a network, for the passes inside `use`.

    Attributes:
        marks: [B, N] of the pass, the rows of the text that take the vectors; see `insert`. None: no pass is under way.
    """

    def __init__(self, inputs: Sequence[TextInput]):
        self._vectors: Tensor | None = None
        self.marks: Tensor | None = None
        self._handles = [
            taken.block.register_forward_pre_hook(self._hook(i, taken), with_kwargs=True)
            for i, taken in enumerate(inputs)
        ]

    def _hook(self, index: int, taken: TextInput):
        def before(_: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]] | None:
            if self._vectors is None or self.marks is None or (stream := taken.read(args, kwargs)) is None:
                return None
            marks = taken.rows(stream, self.marks.to(stream.device))
            vector = self._vectors[index].to(stream.device)
            return taken.replaced(args, kwargs, insert(stream, vector, marks))

        return before

    @contextmanager
    def use(self, vectors: Tensor | None) -> Iterator[None]:
        """Insert these vectors [L, hidden] at the marks in passes inside."""
        self._vectors, before = vectors, self._vectors
        try:
            yield
        finally:
            self._vectors = before

    def remove(self) -> None:
        """Take the hooks off."""
        for handle in self._handles:
            handle.remove()


@torch.no_grad()
def observe_layers(inputs: Sequence[TextInput], marks: Tensor, run: Callable[[], object]) -> Tensor:
    """Return the text stream at the marked rows at every block's input in a pass, where layer-wise vectors start.

    Args:
        inputs: of the blocks that take text.
        marks: [B, N] bool.
        run: a function without arguments that makes the pass.

    Returns:
        [L, hidden], float32, the mean over the marked rows.
    """
    seen: dict[int, Tensor] = {}

    def hook(index: int, taken: TextInput):
        def before(_: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
            if (stream := taken.read(args, kwargs)) is not None:
                seen[index] = stream[taken.rows(stream, marks.to(stream.device))].float().mean(0)

        return before

    handles = [
        taken.block.register_forward_pre_hook(hook(i, taken), with_kwargs=True) for i, taken in enumerate(inputs)
    ]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return torch.stack([seen[k] for k in range(len(inputs))])
