"""Encode texts with gradients to a trained token, on a private copy of the user's text encoders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from comfy import model_management
from comfy.model_patcher import ModelPatcher
from comfy.sd import CLIP
from torch import Tensor, nn

from ...network.checkpointing import Checkpointing, KeptInputs
from ..families import Encoder, TextSide
from . import embeddings
from .casting import multiply_in
from .copies import private_copy


@dataclass(frozen=True)
class Encoded:
    """A text as the encoders give it, with gradients to the token.

    Attributes:
        context: the first rows of the text stream, [1, N, D].
        fields: what else of the conditioning may depend on the token.
    """

    context: Tensor
    fields: Mapping[str, Tensor]


class AnyEncoder:
    """Encodes texts with a private copy of the user's text encoders, with gradients to a trained token.

    The backward pass recomputes every layer: in the host's float32, layers and their cast weights would hold gigabytes.

    Attributes:
        patcher: the copy as the host loads it.
        model: the encoders.
    """

    def __init__(self, patcher: ModelPatcher, clip: CLIP):
        self.patcher = patcher
        self.model = patcher.model
        self._text = embeddings.trainable_text(clip)
        _prepare(self.model, clip, self._text, patcher.load_device)

    def multiply_in(self, dtype: torch.dtype) -> None:
        """Have the copy multiply in the type that the base computes in, where the host's float32 would be slow.

        It is unloaded first, since the host keeps account of the weights that it has placed.
        """
        model_management.unload_model_and_clones(self.patcher)
        multiply_in(self.model, dtype)
        self.patcher.size = 0  # measured anew

    def encoded(self, texts: Sequence[dict[str, list]], vectors: nn.ParameterDict) -> list[Encoded]:
        """Return the conditioning of texts with these vectors at [v].

        Args:
            texts: the host's tokens of each.
            vectors: per encoder [n, width].
        """
        raise NotImplementedError


class TokenEncoder(AnyEncoder):
    """Encodes texts with the trainable encoders alone, all texts in one batch."""

    def encode(self, texts: Sequence[dict[str, list]], vectors: nn.ParameterDict) -> list[tuple[Tensor, Tensor]]:
        """Encode texts with these vectors at [v], all in one batch.

        Args:
            texts: the host's tokens of each.
            vectors: per encoder [n, width].

        Returns:
            For each text, the CLIP rows of the text stream [1, N, D], and the pooled vector [1, P].
        """
        said: list[dict[str, tuple[Tensor, Tensor]]] = [{} for _ in texts]
        for name, rows in vectors.items():
            windows = [_windows(tokens, self._text.encoders[name], rows) for tokens in texts]
            counts = [len(own) for own in windows]
            stream, pooled = getattr(self.model, name)(list(chain(*windows)))[:2]
            for parts, z, p in zip(said, stream.split(counts), pooled.split(counts), strict=True):
                parts[name] = z.flatten(0, 1).unsqueeze(0), p[:1]
        return [_joined(self._text, parts) for parts in said]

    def encoded(self, texts: Sequence[dict[str, list]], vectors: nn.ParameterDict) -> list[Encoded]:
        """Return `encode` as conditioning."""
        return [Encoded(stream, {"pooled_output": pooled}) for stream, pooled in self.encode(texts, vectors)]


class WholeEncoder(AnyEncoder):
    """Encodes texts with all encoders by the host's own code, one by one."""

    def encoded(self, texts: Sequence[dict[str, list]], vectors: nn.ParameterDict) -> list[Encoded]:
        """Return the conditioning of texts with these vectors at [v]."""
        return [self._encoded(tokens, vectors) for tokens in texts]

    def _encoded(self, tokens: dict[str, list], vectors: nn.ParameterDict) -> Encoded:
        placed = dict(tokens)
        for name, rows in vectors.items():
            key = self._text.encoders[name].key
            windows = _windows(tokens, self._text.encoders[name], rows)
            placed[key] = [
                [(new, *entry[1:]) for new, entry in zip(*pair, strict=True)]
                for pair in zip(windows, tokens[key], strict=True)
            ]
        context, pooled, *rest = self.model.encode_token_weights(placed)
        fields = {"pooled_output": pooled, **(rest[0] if rest else {})}
        return Encoded(context, {k: v for k, v in fields.items() if isinstance(v, Tensor) and v.is_floating_point()})


@contextmanager
def token_encoder(clip: CLIP) -> Iterator[AnyEncoder]:
    """Copy the trainable text encoders of the user's CLIP to the device; the others are not copied."""
    text = embeddings.trainable_text(clip)
    with private_copy(clip.patcher, without=text.untrained) as private:
        yield TokenEncoder(private, clip) if text.of_clip else WholeEncoder(private, clip)


def _prepare(model: Any, clip: CLIP, text: TextSide, device: torch.device) -> None:
    """Set the options of a copy as the user's CLIP has them, and have its backward pass recompute every layer.

    The host's layers add in place, so each keeps a copy of what its norms take.
    """
    model.reset_clip_options()
    if clip.layer_idx is not None:
        model.set_clip_options({"layer": clip.layer_idx})
    model.set_clip_options({"execution_device": device})
    for name in (n for n in text.encoders if getattr(model, n, None) is not None):
        layers = _layers(getattr(model, name).transformer)
        KeptInputs(layers)
        Checkpointing(layers, in_place=True).first(len(layers))


def _layers(transformer: nn.Module) -> list[nn.Module]:
    """Return the layers of a text encoder's network: its longest list beside those of an image encoder."""
    lists = [
        list(m)
        for n, m in transformer.named_modules()
        if isinstance(m, nn.ModuleList) and not n.startswith(("visual", "vision"))
    ]
    return max(lists, key=len)


def _windows(tokens: dict[str, list], encoder: Encoder, rows: Tensor) -> list[list]:
    """Return an encoder's tokens by window, with these vectors [n, width] at [v]; all weights are 1 and left out."""
    out = [[entry[0] for entry in window] for window in tokens[encoder.key]]
    for k, (window, place, _) in enumerate(embeddings.positions(tokens, encoder)):
        out[window][place] = rows[k % len(rows)]
    return out


def _joined(text: TextSide, parts: dict[str, tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Return (text stream, pooled vector) of a text from those of each encoder, side by side as the family has them."""
    rows = min(z.shape[1] for z, _ in parts.values())
    present = [name for name in text.encoders if name in parts]
    first = list(text.encoders).index(present[0])
    before = sum(encoder.width for encoder in list(text.encoders.values())[:first])
    context = nn.functional.pad(torch.cat([parts[name][0][:, :rows] for name in present], dim=-1), (before, 0))
    empty = {name: context.new_zeros(1, encoder.width) for name, encoder in text.encoders.items()}
    every = [parts[name][1] if name in parts else empty[name] for name in empty]
    pooled = torch.cat(every, dim=-1) if text.pooled == "all" else every[-1]
    return nn.functional.pad(context, (0, text.width - context.shape[-1] if text.free else 0)), pooled
