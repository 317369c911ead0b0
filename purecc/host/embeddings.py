"""Prompts of the host that name our embeddings, and where those sit among a prompt's tokens."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from comfy.sd import CLIP
from comfy.sd1_clip import SDTokenizer
from safetensors.torch import save_file
from torch import Tensor

ENCODERS = {"clip_l": "l", "clip_g": "g"}
"""Text encoders that a token can be trained for, with their names among a prompt's tokens."""


def encoder_names(clip: CLIP) -> list[str]:
    """Which of ENCODERS this CLIP has.

    Raises:
        ValueError: it has none, or is not a text encoder of the Stable Diffusion 3 family.
    """
    model = clip.cond_stage_model
    names = [name for name in ENCODERS if getattr(model, name, None) is not None]
    if not names or not hasattr(model, "t5xxl"):
        raise ValueError(
            f"The text encoder ({type(model).__name__}) has no CLIP-L or CLIP-G of the Stable Diffusion 3 family. "
            "Connect the CLIP of an SD3 or SD3.5 checkpoint, or a triple CLIP loader."
        )
    return names


def word_vectors(clip: CLIP, word: str) -> dict[str, Tensor]:
    """What the embedding tables hold for a word, the mean over its tokens: {encoder: [1, width]}, float32, CPU."""
    clip.load_model()
    tokens = clip.tokenize(word)
    out = {}
    for name in encoder_names(clip):
        table = getattr(clip.cond_stage_model, name).transformer.get_input_embeddings()
        chunk = [int(t[0]) for t in tokens[ENCODERS[name]][0]]
        end = getattr(clip.tokenizer, name).end_token
        ids = chunk[1 : chunk.index(end)] or chunk[:1]
        rows = table(torch.tensor([ids], device=table.weight.device), out_dtype=torch.float32)
        out[name] = rows.float().mean(1).cpu()
    return out


def write(directory: Path, name: str, tokens: Mapping[str, Tensor]) -> None:
    """NAME.safetensors as the host reads embeddings."""
    save_file(
        {k: v.detach().float().cpu().contiguous().clone() for k, v in tokens.items()}, directory / f"{name}.safetensors"
    )


def with_directory(clip: CLIP, directory: Path) -> CLIP:
    """A clone of a CLIP whose prompts find `embedding:NAME` in this folder before any other."""
    out = clip.clone()
    out.tokenizer = copy.copy(clip.tokenizer)
    for key, tokenizer in vars(clip.tokenizer).items():
        if isinstance(tokenizer, SDTokenizer):
            setattr(out.tokenizer, key, _looking_in(tokenizer, directory))
    return out


def _looking_in(tokenizer: SDTokenizer, directory: Path) -> SDTokenizer:
    out, private = copy.copy(tokenizer), copy.copy(tokenizer)
    private.embedding_directory = [str(directory)]
    if out.embedding_directory is None:
        out.embedding_directory = []

    def find(name: str):
        found = type(tokenizer)._try_get_embedding(private, name)
        return found if found[0] is not None else tokenizer._try_get_embedding(name)

    out._try_get_embedding = find
    return out


def positions(tokens: Mapping[str, list], encoder: str) -> Iterator[tuple[int, int, Tensor]]:
    """Every embedding vector among a prompt's tokens, as (chunk, place in the chunk, vector)."""
    for chunk, entries in enumerate(tokens[ENCODERS[encoder]]):
        for place, entry in enumerate(entries):
            if torch.is_tensor(entry[0]):
                yield chunk, place, entry[0]
