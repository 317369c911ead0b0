"""A CLIP of the host as a conditioner: texts with [v] in, conditioning out, gradients to a trained token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from comfy.model_patcher import ModelPatcher
from comfy.sd import CLIP
from torch import Tensor, nn

from ..checkpointing import Checkpointing
from ..concept import ConceptEmbedding
from ..field import Conditioning
from ..texts import MARKER, prompt
from . import embeddings
from .copies import private_copy

KEEP = ("pooled_output", "attention_mask")
"""What a model of the SD3 family takes of the host's conditioning, beside the text stream."""

ABSENT = {"clip_l": 768, "clip_g": 1280}
"""The width that the host leaves to an encoder that is not there."""

TEXT_STREAM = 4096
"""Width of SD3's text stream."""


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

    Every layer is computed again in the backward pass: in float32, as the host has them, layers and their cast weights
    would hold gigabytes.

    Attributes:
        patcher: the copy as the host loads it.
        model: both.
    """

    def __init__(self, patcher: ModelPatcher, clip: CLIP):
        self.patcher = patcher
        self.model = model = patcher.model
        self.model.reset_clip_options()
        if clip.layer_idx is not None:
            self.model.set_clip_options({"layer": clip.layer_idx})
        self.model.set_clip_options({"execution_device": patcher.load_device})
        for name in (n for n in embeddings.ENCODERS if getattr(model, n, None) is not None):
            layers = getattr(model, name).transformer.text_model.encoder.layers
            # A layer adds in place to what it is given, which backward needs as it was.
            for norm in (m for m in layers.modules() if isinstance(m, nn.LayerNorm)):
                norm.register_forward_pre_hook(lambda _, args: (args[0].clone(), *args[1:]))
            Checkpointing(layers, in_place=True).first(len(layers))

    def encode(self, texts: Sequence[dict[str, list]], vectors: nn.ParameterDict) -> list[tuple[Tensor, Tensor]]:
        """What the encoders say of texts with these vectors at [v], all in one batch.

        Args:
            texts: the host's tokens of each.
            vectors: per encoder [n, width].

        Returns:
            For each text the CLIP rows of the text stream, [1, N, D], and the pooled vector, [1, P].
        """
        said: list[dict[str, tuple[Tensor, Tensor]]] = [{} for _ in texts]
        for name, rows in vectors.items():
            windows = [_windows(tokens, name, rows) for tokens in texts]
            counts = [len(own) for own in windows]
            stream, pooled = getattr(self.model, name)(list(chain(*windows)))[:2]
            for parts, z, p in zip(said, stream.split(counts), pooled.split(counts), strict=True):
                parts[name] = z.flatten(0, 1).unsqueeze(0), p[:1]
        return [_joined(parts) for parts in said]


class HostConditioner:
    """The conditioner of one concept embedding; see Conditioner."""

    def __init__(self, cache: PromptCache, embedding: ConceptEmbedding, encoder: TokenEncoder | None = None):
        self._cache = cache
        self._embedding = embedding
        self._encoder = encoder

    def __call__(self, texts: Sequence[str]) -> list[Conditioning]:
        """One conditioning a text; equal texts are encoded once."""
        known = {text: self._cache[text] for text in texts}
        if self._encoder is not None and (trained := [text for text in known if MARKER in text.lower()]):
            said = self._encoder.encode([self._cache.tokens(text) for text in trained], self._embedding.tokens)
            known |= {text: _replaced(known[text], *one) for text, one in zip(trained, said, strict=True)}
        return [known[text] for text in texts]


@contextmanager
def token_encoder(clip: CLIP) -> Iterator[TokenEncoder]:
    """CLIP-L and CLIP-G of the user's CLIP as a private copy on the device; T5 is not copied."""
    with private_copy(clip.patcher, without=("t5xxl",)) as private:
        yield TokenEncoder(private, clip)


def _window(clip: CLIP) -> int:
    tokens = clip.tokenize("")
    return len(tokens[embeddings.ENCODERS[embeddings.encoder_names(clip)[0]]][0])


def _windows(tokens: dict[str, list], encoder: str, rows: Tensor) -> list[list]:
    """An encoder's tokens by window, without their weights, which are all 1; these vectors [n, width] at [v]."""
    out = [[entry[0] for entry in window] for window in tokens[embeddings.ENCODERS[encoder]]]
    for k, (window, place, _) in enumerate(embeddings.positions(tokens, encoder)):
        out[window][place] = rows[k % len(rows)]
    return out


def _joined(parts: dict[str, tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """What each encoder says of a text, (text stream, pooled), side by side as SD3 has them."""
    rows = min(z.shape[1] for z, _ in parts.values())
    streams = [parts[name][0][:, :rows] for name in embeddings.ENCODERS if name in parts]
    before = 0 if "clip_l" in parts else ABSENT["clip_l"]
    context = nn.functional.pad(torch.cat(streams, dim=-1), (before, 0))
    empty = {name: context.new_zeros(1, width) for name, width in ABSENT.items()}
    pooled = torch.cat([parts[name][1] if name in parts else empty[name] for name in ABSENT], dim=-1)
    return nn.functional.pad(context, (0, TEXT_STREAM - context.shape[-1])), pooled


def _replaced(y: Conditioning, context: Tensor, pooled: Tensor) -> Conditioning:
    """A conditioning whose first rows of the text stream, CLIP's, and pooled vector are these."""
    context = torch.cat([context.to(y.context), y.context[:, context.shape[1] :]], dim=1)
    return Conditioning(context, y.marks, {**y.fields, "pooled_output": pooled.to(y.context)})


def _own(tensor: Tensor, device: torch.device) -> Tensor:
    return tensor.detach().to(device).clone()
