"""Make the host's prompts know our embeddings, and find them among a prompt's tokens."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from comfy.sd import CLIP
from comfy.sd1_clip import SDTokenizer
from safetensors.torch import save_file
from torch import Tensor

from ..families import Encoder, TextSide, text_side
from .placeholders import spellings, with_vectors


def trainable_text(clip: CLIP) -> TextSide:
    """Return the text side of a CLIP in which a token can be trained.

    Raises:
        ValueError: it has no such encoder.
    """
    text = text_side(clip)
    if text is None:
        raise ValueError(
            f"No token can be trained in the text encoder ({type(clip.cond_stage_model).__name__}). Set concept_by to "
            "trigger word."
        )
    return text


def trainable_encoders(clip: CLIP) -> dict[str, Encoder]:
    """Return the text encoders of a CLIP in which a token can be trained, by name; none in a CLIP without such."""
    text = text_side(clip)
    known = {} if text is None else text.encoders
    return {name: e for name, e in known.items() if getattr(clip.cond_stage_model, name, None) is not None}


def word_vectors(clip: CLIP, word: str) -> dict[str, Tensor]:
    """Return the mean of a word's token embeddings in each trainable encoder: {encoder: [1, width]}, float32, CPU."""
    encoders, out = trainable_encoders(clip), dict[str, Tensor]()
    if not encoders:
        return out
    clip.load_model()
    for name, encoder in encoders.items():
        table = getattr(clip.cond_stage_model, name).transformer.get_input_embeddings()
        tokenizer = _tokenizer(clip, encoder)
        ids = spellings(tokenizer.tokenizer, word)[0] or [tokenizer.pad_token]
        rows = table(torch.tensor([ids], device=table.weight.device), out_dtype=torch.float32)
        out[name] = rows.float().mean(1).cpu()
    return out


def _tokenizer(clip: CLIP, encoder: Encoder) -> SDTokenizer:
    """Return the tokenizer whose tokens an encoder takes."""
    named = vars(clip.tokenizer).items()
    return next(t for name, t in named if isinstance(t, SDTokenizer) and name.removeprefix("clip_") == encoder.key)


def knowing(
    clip: CLIP, directory: Path, name: str, tokens: Mapping[str, Tensor], fill: Callable[[], None] | None = None
) -> CLIP:
    """Return a clone of a CLIP whose prompts know `embedding:NAME`, in the way of its tokenizers.

    Where they look up embeddings, the prompt is read as a stock prompt; elsewhere see `placeholders`.

    Args:
        clip: the CLIP.
        directory: a folder with NAME.safetensors.
        name: of the adapter.
        tokens: for each text encoder, [n, width].
        fill: see `with_directory`.
    """
    text = text_side(clip)
    if tokens and text is not None and not text.by_stock:
        return with_vectors(clip, name, tokens)
    return with_directory(clip, directory, fill)


def rows_of_concept(clip: CLIP, tokens: Mapping[str, list], count: int) -> list[tuple[int, Tensor]]:
    """Return where the vectors of a prompt stand: the row of the text stream, and the vector.

    Args:
        clip: the CLIP.
        tokens: of the prompt.
        count: rows of the text stream.
    """
    text = trainable_text(clip)
    if text.of_clip:
        encoder = next(iter(trainable_encoders(clip).values()))
        window = len(tokens[encoder.key][0])
        return [(chunk * window + place, vector) for chunk, place, vector in positions(tokens, encoder)]
    encoder = text.encoders[text.rows]
    found = [(place, vector) for chunk, place, vector in positions(tokens, encoder) if chunk == 0]
    if text.stand_in is not None:  # the rows are those of an encoder that takes no vector
        key, token = text.stand_in
        places = [place for place, entry in enumerate(tokens[key][0]) if entry[0] == token]
        return [(place, vector) for place, (_, vector) in zip(places, found, strict=True)]
    cut = text.cut(tokens[encoder.key][0], count)
    return [(place - cut, vector) for place, vector in found if 0 <= place - cut < count]


def rows_of_text(clip: CLIP, tokens: Mapping[str, list], count: int) -> int:
    """Return the rows that the network gets of a prompt, where the text encoders gave so many."""
    text = text_side(clip)
    return count if text is None or text.stand_in is None else max(count, len(tokens[text.stand_in[0]][0]))


def write(directory: Path, name: str, tokens: Mapping[str, Tensor]) -> None:
    """Write NAME.safetensors in the format in which the host reads embeddings; there is never part of a file."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f".{name}.{uuid.uuid4().hex}"
    save_file({k: v.detach().float().cpu().contiguous().clone() for k, v in tokens.items()}, path)
    path.replace(directory / f"{name}.safetensors")


def with_directory(clip: CLIP, directory: Path, fill: Callable[[], None] | None = None) -> CLIP:
    """Return a clone of a CLIP whose prompts look up `embedding:NAME` in this folder first.

    Args:
        clip: the CLIP.
        directory: the folder.
        fill: called before every look-up, to write again what is gone.
    """
    out = clip.clone()
    out.tokenizer = copy.copy(clip.tokenizer)
    for key, tokenizer in vars(clip.tokenizer).items():
        if isinstance(tokenizer, SDTokenizer):
            setattr(out.tokenizer, key, _looking_in(tokenizer, directory, fill))
    return out


def _looking_in(tokenizer: SDTokenizer, directory: Path, fill: Callable[[], None] | None) -> SDTokenizer:
    out, private = copy.copy(tokenizer), copy.copy(tokenizer)
    private.embedding_directory = [str(directory)]
    if out.embedding_directory is None:
        out.embedding_directory = []

    def find(name: str):
        if fill is not None:
            fill()
        found = type(tokenizer)._try_get_embedding(private, name)
        return found if found[0] is not None else tokenizer._try_get_embedding(name)

    out._try_get_embedding = find
    return out


def positions(tokens: Mapping[str, list], encoder: Encoder) -> Iterator[tuple[int, int, Tensor]]:
    """Yield every embedding vector among a prompt's tokens as (chunk, place in the chunk, vector)."""
    for chunk, entries in enumerate(tokens[encoder.key]):
        for place, entry in enumerate(entries):
            if torch.is_tensor(entry[0]):
                yield chunk, place, entry[0]
