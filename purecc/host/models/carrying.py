"""Choose what stands for [v] in prompts: a trigger word, or a token in the text encoders."""

# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from enum import Enum

from comfy.sd import CLIP

from ..families import ENCODERS_OF, FOUND_BY_STOCK, Family
from .embeddings import trainable_encoders, trainable_text

AUTO, INPUT_TOKEN, TRIGGER_WORD = CHOICES = ("auto", "input token", "trigger word")
"""What a user may choose."""


class Carried(Enum):
    """What stands for [v], and who puts it into a prompt. The values are in metadata."""

    BY_STOCK = "token, found by stock embedding:"
    BY_APPLY = "token, through Apply Adapter"
    WORD = "trigger word"


def ways(family: Family) -> tuple[Carried, ...]:
    """Return what can stand for [v] with the text encoders that a family is used with; the first is what "auto" means.

    Whether layer-wise vectors fit is `family.layer_wise`.
    """
    if family.text is not None:
        return Carried.BY_STOCK, Carried.WORD
    encoders = ENCODERS_OF.get(family.name)
    if encoders is None:
        return (Carried.WORD,)
    return Carried.WORD, Carried.BY_STOCK if encoders in FOUND_BY_STOCK else Carried.BY_APPLY


def carried_by(clip: CLIP, choice: str, layer_wise: bool = False, given: bool = False) -> Carried:
    """Return what stands for [v] with a CLIP.

    "auto" means a token where the text stream is CLIP's, else a trigger word: to train through a language model takes
    gigabytes. Layer-wise vectors need a token at the row that they replace; under "auto" it is there, but not trained.

    Args:
        clip: the user's CLIP.
        choice: one of CHOICES.
        layer_wise: whether there are layer-wise vectors.
        given: whether a token is there to start from, an extractor's, which "auto" then takes.

    Raises:
        ValueError: the CLIP has no encoder for a token that is asked for, or layer-wise vectors have no token.
    """
    if choice not in CHOICES:
        raise ValueError(f"concept_by is {choice!r}. Choose one of {', '.join(CHOICES)}.")
    kind = type(clip.cond_stage_model).__name__
    if choice == TRIGGER_WORD and layer_wise:
        raise ValueError(
            "layer_wise is on, and concept_by is trigger word. Layer-wise vectors replace one token: set concept_by to "
            "auto, or turn layer_wise off."
        )
    if not trainable_encoders(clip):
        if layer_wise:
            raise ValueError(
                f"layer_wise is on, but the text encoder ({kind}) takes no token for [v]. Connect the CLIP that "
                "belongs to the model, or turn layer_wise off."
            )
        if choice == INPUT_TOKEN:
            raise ValueError(f"concept_by is input token, but the text encoder ({kind}) takes none. Set it to auto.")
        return Carried.WORD
    text = trainable_text(clip)
    if choice == TRIGGER_WORD or (choice == AUTO and not (text.of_clip or layer_wise or given)):
        return Carried.WORD
    return Carried.BY_STOCK if text.by_stock else Carried.BY_APPLY


def trains_token(clip: CLIP, choice: str) -> bool:
    """Return whether the token that stands for [v] is trained; under "auto" only in CLIP."""
    return choice == INPUT_TOKEN or trainable_text(clip).of_clip
