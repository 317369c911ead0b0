"""What a protocol draws: prompts with and without the concept, and the pictures of two models at the same seeds."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from torch import Tensor

from ..texts import MARKER, parse_caption, prompt

_EMBEDDING = "embedding:"


@dataclass(frozen=True)
class ProtocolPrompt:
    """One prompt for both models.

    Attributes:
        complete: what the customised model draws, the concept marked by [v].
        base: what the base model draws, and what both are scored against: the same without the concept.
    """

    complete: str
    base: str

    @property
    def names_concept(self) -> bool:
        """Whether the prompt asks for the concept at all."""
        return MARKER in self.complete


@dataclass(frozen=True)
class ProtocolPictures:
    """Pictures of two models for the same prompts and seeds.

    Attributes:
        prompts: P of them.
        seeds: S of them.
        base: [P, S, H, W, 3] in [0, 1], the base model's.
        customised: [P, S, H, W, 3], the customised model's, at the same starting noise.
        settings: how they were drawn, for the record.
    """

    prompts: tuple[ProtocolPrompt, ...]
    seeds: tuple[int, ...]
    base: Tensor
    customised: Tensor
    settings: dict = field(default_factory=dict)


def parse_prompts(text: str, class_word: str, kind: str = "instance") -> tuple[ProtocolPrompt, ...]:
    """Prompts, one a line; those with [v] as captions of training are written, those without it as they are.

    Raises:
        ValueError: there are none, none has [v], one is there twice, or one cannot be read; names the line.
    """
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    if not lines:
        raise ValueError("There are no prompts: write one a line, such as 'a [v] robot on a beach'.")
    out = []
    for line in lines:
        if MARKER in line.lower():
            texts = parse_caption(line, class_word, kind)
            out.append(ProtocolPrompt(texts.complete, texts.base))
        else:
            out.append(ProtocolPrompt(line, line))
        prompt(out[-1].base, "x")  # refuses what a prompt box would not read as text
    if not any(p.names_concept for p in out):
        raise ValueError("No prompt has [v]: mark the concept in those that should show it, as in 'a [v] robot'.")
    if twice := {p.complete for p in out if out.count(p) > 1}:
        raise ValueError(f"The prompt {sorted(twice)[0]!r} is there twice: give every prompt once.")
    return tuple(out)


def worded(text: str, trigger: str) -> str:
    """The prompt for ComfyUI's text encoders, with the trigger in place of [v].

    Args:
        text: with or without [v].
        trigger: `embedding:NAME`, or any word that calls the concept, such as "sks".

    Raises:
        ValueError: the trigger is empty or no such thing, or the text cannot be a prompt.
    """
    trigger = " ".join(trigger.split())
    if not trigger:
        raise ValueError("The trigger is empty: give what calls the concept in a prompt, such as embedding:my_concept.")
    if trigger.startswith(_EMBEDDING):
        return prompt(text, trigger.removeprefix(_EMBEDDING))
    return prompt(text.replace(MARKER, trigger), "x")


def parse_nouns(text: str, count: int) -> tuple[tuple[str, ...], ...]:
    """The nouns of each prompt: a line for every prompt, or one line for all; commas between nouns.

    Args:
        text: of the user.
        count: how many prompts there are.

    Raises:
        ValueError: there are none, the number of lines is wrong, or a noun is not plain words.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise ValueError(
            "A segmenter is connected and there are no nouns: write what to segment in every picture, such as "
            "'robot, table', one line for all prompts or a line for each."
        )
    if len(lines) not in (1, count):
        raise ValueError(
            f"There are {count} prompts and {len(lines)} lines of nouns: give one line for all, or {count}."
        )
    rows = [tuple(dict.fromkeys(n for n in map(str.strip, line.split(",")) if n)) for line in lines]
    for row, line in zip(rows, lines, strict=True):
        if not row:
            raise ValueError(f"The line of nouns {line!r} has none: write such as 'robot, table'.")
        for noun in row:
            if not re.fullmatch(r"[\w'’-]+(?: [\w'’-]+)*", noun):
                raise ValueError(
                    f"{noun!r} is not a noun: use plain words, without [v], brackets or numbers after ':'."
                )
    return tuple(rows) if len(rows) == count else tuple(rows * count)
