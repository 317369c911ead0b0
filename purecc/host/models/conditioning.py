"""Turn texts with [v] into conditioning through the user's CLIP, with gradients to a trained token."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from comfy.sd import CLIP
from torch import Tensor

from ...network.embedding import ConceptEmbedding
from ...network.field import Conditioning
from ...text.texts import has_marker, prompt
from . import embeddings
from .token_encoder import AnyEncoder, Encoded, TokenEncoder, token_encoder

__all__ = ["HostConditioner", "PromptCache", "TokenEncoder", "token_encoder"]


class PromptCache:
    """Encodes prompts with the user's own CLIP, each once.

    Every text takes the stock path as the prompt that a user would type, with `embedding:NAME` for [v], or the name
    alone as a trigger word. Training and use therefore see the same tokens, T5's included.

    Args:
        clip: CLIP.
        name: of the adapter.
        vectors: the token of each text encoder, [n, width]; empty: the name is a trigger word.
        device: of the conditioning.
        fields: conditioning that the model's own nodes add.
        plain: another cache to take texts without [v] from, since they are the same under every name.
    """

    def __init__(
        self,
        clip: CLIP,
        name: str,
        vectors: dict[str, Tensor],
        device: torch.device,
        fields: Mapping[str, Any] | None = None,
        plain: PromptCache | None = None,
    ):
        self._plain = plain
        self._fields = dict(fields or {})
        self.name = name
        self.device = device
        self.vectors = vectors
        self._users = clip
        self._known: dict[str, tuple[dict[str, list], Conditioning]] = {}
        self.open()

    def open(self) -> None:
        """Have the user's CLIP encode texts, with the vectors under the adapter's name."""
        self._folder = TemporaryDirectory(prefix="purecc-")
        embeddings.write(Path(self._folder.name), self.name, self.vectors)
        self._clip: CLIP | None = embeddings.knowing(self._users, Path(self._folder.name), self.name, self.vectors)

    def prepare(self, texts: Sequence[str]) -> None:
        """Encode the texts that are not cached yet."""
        for text in texts:
            self.entry(text)

    def forget(self, texts: Iterable[str]) -> None:
        """Free what texts take; they cannot be asked for until they are prepared again."""
        for text in texts:
            self._known.pop(text, None)

    def close(self) -> None:
        """Release the user's CLIP; until it is opened again only cached texts are available."""
        self._clip = None
        self._folder.cleanup()

    @property
    def known(self) -> dict[str, Conditioning]:
        """The conditioning of every text of its own that is cached."""
        return {text: y for text, (_, y) in self._known.items()}

    def entry(self, text: str) -> tuple[dict[str, list], Conditioning]:
        """Return the host's tokens of a text and its conditioning."""
        if self._plain is not None and not has_marker(text):
            return self._plain.entry(text)
        if text not in self._known:
            self._known[text] = self._encode(text)
        return self._known[text]

    def tokens(self, text: str) -> dict[str, list]:
        """Return the host's tokens of a text."""
        return self.entry(text)[0]

    def __getitem__(self, text: str) -> Conditioning:
        """Return the conditioning of a text, batch size 1."""
        return self.entry(text)[1]

    def _encode(self, text: str) -> tuple[dict[str, list], Conditioning]:
        if self._clip is None:
            raise RuntimeError(f"The text {text!r} was not prepared before training.")
        with torch.no_grad():
            tokens = self._clip.tokenize(prompt(text, self.name, embedding=bool(self.vectors)))
            out = self._clip.encode_from_tokens(tokens, return_pooled=True, return_dict=True)
        context = _own(out["cond"], self.device)
        rows = []
        if self.vectors:
            rows = [row for row, _ in embeddings.rows_of_concept(self._clip, tokens, context.shape[1])]
            if has_marker(text) and not rows:
                raise ValueError(f"The prompt of the text {text!r} has lost [v]. Simplify the text.")
        marks = torch.zeros(1, embeddings.rows_of_text(self._clip, tokens, context.shape[1]), dtype=torch.bool)
        marks[0, rows] = True
        fields = {**self._fields, **{k: _own(v, self.device) for k, v in out.items() if k != "cond" and v is not None}}
        return tokens, Conditioning(context, marks.to(self.device), (fields,))


class HostConditioner:
    """Conditions texts on one concept embedding; see Conditioner."""

    def __init__(self, cache: PromptCache, embedding: ConceptEmbedding, encoder: AnyEncoder | None = None):
        self._cache = cache
        self._embedding = embedding
        self._encoder = encoder

    def __call__(self, texts: Sequence[str]) -> list[Conditioning]:
        """Return one conditioning per text; equal texts are encoded once."""
        known = {text: self._cache[text] for text in texts}
        if self._encoder is not None and (trained := [text for text in known if has_marker(text)]):
            said = self._encoder.encoded([self._cache.tokens(text) for text in trained], self._embedding.tokens)
            known |= {text: _replaced(known[text], one) for text, one in zip(trained, said, strict=True)}
        return [known[text] for text in texts]


def _replaced(y: Conditioning, encoded: Encoded) -> Conditioning:
    """Return a conditioning with what the encoders gave, its rows the first of the text stream."""
    context = torch.cat([encoded.context.to(y.context), y.context[:, encoded.context.shape[1] :]], dim=1)
    fields = {k: v.to(y.fields[0].get(k, y.context)) for k, v in encoded.fields.items()}
    return Conditioning(context, y.marks, ({**y.fields[0], **fields},))


def _own(value: Any, device: torch.device) -> Any:
    """Return a copy of a tensor, or of the tensors in a list, on a device."""
    if isinstance(value, list | tuple):
        return [_own(part, device) for part in value]
    return value.detach().to(device).clone() if torch.is_tensor(value) else value
