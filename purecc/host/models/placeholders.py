"""Put vectors in the place of a name among a prompt's tokens, for tokenizers that do not look up `embedding:NAME`.

A placeholder, a word that means nothing, takes the place of the name before the host's tokenizer sees the prompt, chat
template included. The host then splits the other words as it always does. The tokens of the placeholder become one
number for each vector, and at the end the vectors.
"""

# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from comfy.sd import CLIP
from comfy.sd1_clip import SDTokenizer
from torch import Tensor

from ..families import TextSide, text_side

_FIRST = -1_000_000
"""The number of the first vector; no tokenizer has tokens below zero."""

_MOST = 1000
"""The most vectors under one name."""


@dataclass(frozen=True)
class _Concept:
    """A name and the vectors that it stands for.

    Attributes:
        name: prompts call it `embedding:NAME`.
        tokens: of each text encoder, [n, width].
        number: of its first vector.
    """

    name: str
    tokens: Mapping[str, Tensor]
    number: int

    @property
    def word(self) -> str:
        """The placeholder: letters alone, so that every tokenizer keeps it apart from its neighbours."""
        digest = hashlib.sha256(self.name.encode()).digest()
        return "zq" + "".join(chr(97 + byte % 26) for byte in digest[:10])

    @property
    def numbers(self) -> list[int]:
        """The numbers of its vectors."""
        return [self.number - k for k in range(len(next(iter(self.tokens.values()))))]

    def placed(self, text: str) -> str:
        """Return a prompt with the placeholder for the name, as a word of its own."""
        name = rf" *(?<!\w)embedding:{re.escape(self.name)}(?![\w-]|\.\w) *"
        out, found = re.subn(name, f" {self.word} ", text)
        return out.strip(" ") if found else text


def with_vectors(clip: CLIP, name: str, tokens: Mapping[str, Tensor]) -> CLIP:
    """Return a clone of a CLIP that puts vectors where a prompt says `embedding:NAME`.

    Encoders without vectors read the prompt without the name. A name that is already known gets the new vectors.

    Args:
        clip: any CLIP of the host, or one that this function returned.
        name: of the adapter.
        tokens: for each text encoder, [n, width].
    """
    side = text_side(clip)
    original = getattr(clip.tokenizer, "_purecc_original", clip.tokenizer)
    known = [c for c in getattr(clip.tokenizer, "_purecc_concepts", ()) if c.name != name]
    number = min((c.number for c in known), default=_FIRST + _MOST) - _MOST
    concepts = [*known, _Concept(name, dict(tokens), number)]
    out = clip.clone()
    out.tokenizer = original if side is None else _placing(original, concepts, side)
    return out


def _placing(original: Any, concepts: Sequence[_Concept], side: TextSide) -> Any:
    """Return a copy of a tokenizer of the host that knows these concepts."""
    out, encoders = copy.copy(original), side.encoders
    other, token = side.stand_in or ("", 0)
    for attribute, tokenizer in vars(original).items():
        if isinstance(tokenizer, SDTokenizer):
            key = attribute.removeprefix("clip_")
            name = next((name for name, encoder in encoders.items() if encoder.key == key), None)
            own = copy.copy(tokenizer)
            apart = [token] if key == other else []
            numbers = {c.word: c.numbers if name in c.tokens else apart * len(c.numbers) for c in concepts}
            own.tokenizer = _Replacing(tokenizer.tokenizer, numbers)
            setattr(out, attribute, own)
    out._purecc_original, out._purecc_concepts = original, tuple(concepts)
    tokenize = type(original).tokenize_with_weights

    def tokenize_with_weights(text: str, *args: Any, **kwargs: Any) -> dict[str, list]:
        for concept in concepts:
            text = concept.placed(text)
        tokens = tokenize(out, text, *args, **kwargs)
        vectors = {
            (encoder.key, number): concept.tokens[name][k]
            for concept in concepts
            for name, encoder in encoders.items()
            if name in concept.tokens
            for k, number in enumerate(concept.numbers)
        }
        return {key: [[_vector(vectors, key, e) for e in window] for window in w] for key, w in tokens.items()}

    out.tokenize_with_weights = tokenize_with_weights
    return out


def _vector(vectors: Mapping[tuple[str, int], Tensor], key: str, entry: tuple) -> tuple:
    token = entry[0]
    if isinstance(token, int) and token <= _FIRST:
        return (vectors[key, token], *entry[1:])
    return entry


class _Replacing:
    """A tokenizer whose tokens of a placeholder are replaced by others.

    Args:
        inner: what the host's SDTokenizer calls.
        words: for each placeholder, what takes the place of its tokens.
    """

    def __init__(self, inner: Callable, words: Mapping[str, Sequence[int]]):
        self._inner, self._words = inner, words
        self._spelled: dict[str, list[list[int]]] = {}

    def __call__(self, text: str, *args: Any, **kwargs: Any) -> dict[str, list[int]]:
        """Return the tokens of a text."""
        out = dict(self._inner(text, *args, **kwargs))
        for word, instead in self._words.items():
            if count := text.count(word):
                if word not in self._spelled:
                    self._spelled[word] = spellings(self._inner, word)
                out["input_ids"] = list(_replaced(list(out["input_ids"]), self._spelled[word], instead, count))
        return out

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._inner, name)


def spellings(tokenizer: Callable, word: str) -> list[list[int]]:
    """Return the tokens of a word after another word, and at the start of a text, without start and end.

    The first is left out if the tokenizer runs both words together.
    """
    out = []
    for before, text in (("x", f"x {word}"), ("", word)):
        bare, whole = (list(tokenizer(t)["input_ids"]) for t in (before, text))
        start = _alike(bare, whole)
        end = _alike(bare[start:][::-1], whole[start:][::-1])
        if start + end == len(bare):
            out.append(whole[start : len(whole) - end])
    return out


def _alike(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two texts begin with in common."""
    return next((k for k, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _replaced(ids: list[int], spelled: Sequence[list[int]], instead: Sequence[int], count: int) -> Iterator[int]:
    """Yield tokens with every spelling of a placeholder replaced.

    Raises:
        ValueError: it was not found as often as the text has it.
    """
    place = found = 0
    while place < len(ids):
        here = next((s for s in spelled if s and ids[place : place + len(s)] == s), None)
        if here is None:
            yield ids[place]
            place += 1
        else:
            found += 1
            yield from instead
            place += len(here)
    if found != count:
        raise ValueError(
            "The text encoder's tokenizer runs the concept's token and the words beside it together. Set concept_by to "
            "trigger word."
        )
