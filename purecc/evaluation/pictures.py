"""Hold what a protocol compares: prompts with and without the concept, and two models' images of them."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from torch import Tensor

from ..text.concept import Concept
from ..text.texts import MARKER, has_marker, parse_caption, prompt

_EMBEDDING = "embedding:"


@dataclass(frozen=True)
class ProtocolPrompt:
    """One prompt for both models.

    Attributes:
        complete: for the customised model, with the concept marked by [v].
        base: the same without the mark: for the base model, and the text that both are scored against.
    """

    complete: str
    base: str

    @property
    def names_concept(self) -> bool:
        """Whether the prompt asks for the concept."""
        return has_marker(self.complete)


@dataclass(frozen=True)
class ProtocolPictures:
    """Images of two models for the same prompts and seeds.

    Attributes:
        prompts: P prompts.
        seeds: S seeds.
        base: [P, S, H, W, 3] in [0, 1], by the base model.
        customised: [P, S, H, W, 3], by the customised model from the same initial noise.
        settings: of the sampling, for the record.
    """

    prompts: tuple[ProtocolPrompt, ...]
    seeds: tuple[int, ...]
    base: Tensor
    customised: Tensor
    settings: dict = field(default_factory=dict)


def parse_prompts(text: str, concept: Concept) -> tuple[ProtocolPrompt, ...]:
    """Read prompts, one per line; those with [v] follow the rules of training captions.

    Raises:
        ValueError: there are none, none has [v], one is repeated, or one cannot be read; names the line.
    """
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    if not lines:
        raise ValueError("There are no prompts. Write one per line, such as 'a [v] robot on a beach'.")
    out = []
    for line in lines:
        if has_marker(line):
            texts = parse_caption(line, concept.class_word, concept.kind)
            out.append(ProtocolPrompt(texts.complete, texts.base))
        else:
            out.append(ProtocolPrompt(line, line))
        prompt(out[-1].base, "x")  # refuses what prompt boxes do not read as text
    if not any(p.names_concept for p in out):
        raise ValueError("No prompt has [v]. Mark the concept in those that should show it, as in 'a [v] robot'.")
    if twice := sorted(p.complete for p, count in Counter(out).items() if count > 1):
        raise ValueError(f"The prompt {twice[0]!r} is repeated. Give every prompt once.")
    return tuple(out)


def worded(text: str, trigger: str) -> str:
    """Return the prompt for ComfyUI's text encoders, with the trigger in place of [v].

    Args:
        text: with or without [v].
        trigger: `embedding:NAME`, or any word that names the concept, such as "sks".

    Raises:
        ValueError: the trigger is empty or not usable, or the text cannot be a prompt.
    """
    trigger = " ".join(trigger.split())
    if not trigger:
        raise ValueError("The trigger is empty. Give what names the concept in a prompt, such as embedding:my_concept.")
    if trigger.startswith(_EMBEDDING):
        return prompt(text, trigger.removeprefix(_EMBEDDING))
    try:
        prompt(trigger, "x")
    except ValueError as error:
        raise ValueError(f"trigger: {error}") from None
    return prompt(text.replace(MARKER, trigger), "x")


def parse_nouns(text: str, count: int) -> tuple[tuple[str, ...], ...]:
    """Read the nouns of each prompt.

    Args:
        text: one line for each prompt, or one for all, with commas between nouns.
        count: number of prompts.

    Raises:
        ValueError: there are none, the number of lines is wrong, or a noun is not plain words.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise ValueError(
            "A segmenter is connected, but there are no nouns. Write what to segment, such as 'robot, table', in one "
            "line for all prompts or a line for each."
        )
    if len(lines) not in (1, count):
        raise ValueError(
            f"There are {count} prompts and {len(lines)} lines of nouns. Give one line for all, or {count}."
        )
    rows = [tuple(dict.fromkeys(n for n in map(str.strip, line.split(",")) if n)) for line in lines]
    for row, line in zip(rows, lines, strict=True):
        if not row:
            raise ValueError(f"The line {line!r} has no nouns. Write them as in 'robot, table'.")
        for noun in row:
            if not re.fullmatch(r"[\w'’-]+(?: [\w'’-]+)*", noun):
                raise ValueError(
                    f"{noun!r} is not a noun. Use plain words, without [v], brackets or numbers after ':'."
                )
    return tuple(rows) if len(rows) == count else tuple(rows * count)
