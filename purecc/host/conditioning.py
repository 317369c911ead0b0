"""A CLIP of the host as a conditioner: texts with [v] in, conditioning out, gradients to a trained token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from comfy.sd import CLIP
from torch import Tensor, nn

from ..concept import ConceptEmbedding
from ..field import Conditioning
from ..texts import MARKER, prompt
from . import embeddings
from .copies import private_copy

KEEP = ("pooled_output", "attention_mask")
"""What a model of the SD3 family takes of the host's conditioning, beside the text stream."""


class PromptCache:
    """Prompts as the user's own CLIP encodes them, each once.

    Every text goes through the stock path as the very prompt that a user would type, `embedding:NAME` for [v], so
    training and use see the same tokens, T5's included.
    """

    def __init__(
        self, clip: CLIP, name: str, vectors: dict[str, Tensor], device: torch.device, plain: PromptCache | None = None
    ):
        """A cache for one name; texts without [v], which are the same under every name, are taken from `plain`."""
        self._plain = plain
        self.name = name
        self.device = device
        self.vectors = vectors
        self._folder = TemporaryDirectory(prefix="purecc-")
        embeddings.write(Path(self._folder.name), name, vectors)
        self._clip: CLIP | None = embeddings.with_directory(clip, Path(self._folder.name))
        self._window = _window(self._clip)
        self._known: dict[str, tuple[dict[str, list], Conditioning]] = {}

    def prepare(self, texts: Sequence[str]) -> None:
        """Encodes texts that are not known yet."""
        for text in dict.fromkeys(texts):
            if text not in self._known:
                shared = self._plain is not None and MARKER not in text.lower()
                self._known[text] = self._plain.entry(text) if shared else self._encode(text)

    def close(self) -> None:
        """Lets go of the user's CLIP: from here on only known texts are had."""
        self._clip = None
        self._folder.cleanup()

    def entry(self, text: str) -> tuple[dict[str, list], Conditioning]:
        """The host's tokens of a text, and its conditioning."""
        self.prepare([text])
        return self._known[text]

    def tokens(self, text: str) -> dict[str, list]:
        """The host's tokens of a text."""
        return self.entry(text)[0]

    def __getitem__(self, text: str) -> Conditioning:
        """The conditioning of a text, batch size 1."""
        return self.entry(text)[1]

    def _encode(self, text: str) -> tuple[dict[str, list], Conditioning]:
        if self._clip is None:
            raise RuntimeError(f"The text {text!r} was not prepared before training.")
        with torch.no_grad():
            tokens = self._clip.tokenize(prompt(text, self.name))
            out = self._clip.encode_from_tokens(tokens, return_pooled=True, return_dict=True)
        context = _own(out["cond"], self.device)
        marks = torch.zeros(context.shape[:2], dtype=torch.bool)
        encoder = embeddings.encoder_names(self._clip)[0]
        for chunk, place, _ in embeddings.positions(tokens, encoder):
            marks[0, chunk * self._window + place] = True
        if MARKER in text.lower() and not marks.any():
            raise ValueError(f"The concept was lost when the text {text!r} was read as a prompt. Simplify the text.")
        fields = {k: _own(out[k], self.device) for k in KEEP if torch.is_tensor(out.get(k))}
        return tokens, Conditioning(context, marks.to(self.device), fields)


class TokenEncoder:
    """CLIP-L and CLIP-G of a private copy, through which a trained token's gradient flows.

    Attributes:
        model: both.
    """

    def __init__(self, model: nn.Module, clip: CLIP, device: torch.device):
        self.model = model
        self.model.reset_clip_options()
        if clip.layer_idx is not None:
            self.model.set_clip_options({"layer": clip.layer_idx})
        self.model.set_clip_options({"execution_device": device})

    def encode(self, tokens: dict[str, list], vectors: nn.ParameterDict) -> tuple[Tensor, Tensor]:
        """(the CLIP rows of the text stream [1, N, D], the pooled vector [1, P]) with these vectors at [v]."""
        tokens = {k: [list(chunk) for chunk in v] for k, v in tokens.items()}
        for encoder, rows in vectors.items():
            found = list(embeddings.positions(tokens, encoder))
            for k, (chunk, place, _) in enumerate(found):
                entry = tokens[embeddings.ENCODERS[encoder]][chunk][place]
                tokens[embeddings.ENCODERS[encoder]][chunk][place] = (rows[k % len(rows)], *entry[1:])
        # The encoders add in place, which would spoil what backward needs.
        with torch.autograd.graph.saved_tensors_hooks(lambda saved: saved.clone(), lambda saved: saved):
            context, pooled = self.model.encode_token_weights(tokens)[:2]
        return context, pooled


class HostConditioner:
    """The conditioner of one concept embedding; see Conditioner."""

    def __init__(self, cache: PromptCache, embedding: ConceptEmbedding, encoder: TokenEncoder | None = None):
        self._cache = cache
        self._embedding = embedding
        self._encoder = encoder

    def __call__(self, texts: Sequence[str]) -> list[Conditioning]:
        """One conditioning a text; equal texts are encoded once."""
        known = {text: self._one(text) for text in dict.fromkeys(texts)}
        return [known[text] for text in texts]

    def _one(self, text: str) -> Conditioning:
        static = self._cache[text]
        if self._encoder is None or not static.marks.any():
            return static
        context, pooled = self._encoder.encode(self._cache.tokens(text), self._embedding.tokens)
        context, pooled = context.to(static.context), pooled.to(static.context)
        rest = static.context[:, context.shape[1] :]
        return Conditioning(torch.cat([context, rest], dim=1), static.marks, {**static.fields, "pooled_output": pooled})


@contextmanager
def token_encoder(clip: CLIP) -> Iterator[TokenEncoder]:
    """CLIP-L and CLIP-G of the user's CLIP as a private copy on the device; T5 is not copied."""
    with private_copy(clip.patcher, without=("t5xxl",)) as private:
        yield TokenEncoder(private.model, clip, private.load_device)


def _window(clip: CLIP) -> int:
    tokens = clip.tokenize("")
    return len(tokens[embeddings.ENCODERS[embeddings.encoder_names(clip)[0]]][0])


def _own(tensor: Tensor, device: torch.device) -> Tensor:
    return tensor.detach().to(device).clone()
