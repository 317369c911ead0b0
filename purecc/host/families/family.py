"""Describe a family of models: all that the pack must know of one beyond what the host's classes tell."""

# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import nn

from ...network.embedding import TextInput, text_first
from .practice import Practice
from .text import TextSide

FALLBACK = "attention and mlp"
"""The group of layers in place of one that a family lacks."""


class Usual(NamedTuple):
    """Settings that suit a model.

    Attributes:
        rate: learning rate of a plain LoRA.
        batch: samples a step.
    """

    rate: float = 1e-4
    batch: int = 2


@dataclass(frozen=True)
class Stream:
    """Where blocks of a network take the text stream.

    Attributes:
        argument: its name, or its position.
        blocks: the blocks, on names of modules of the network; empty: all blocks of the family.
        before: rows before the text's first, see `TextInput`.
    """

    argument: int | str
    blocks: str = ""
    before: Callable[[int, int], int] = text_first


@dataclass(frozen=True)
class Family:
    """One family of models.

    Patterns are regular expressions. Those of layers are on names below a block.

    Attributes:
        name: for messages.
        architecture: in modelspec.
        blocks: the transformer blocks, on names of modules of the network.
        attention: layers of the attention.
        second_attention: the same and those of a second attention, where some blocks have one.
        mlp: layers of the feed-forward network.
        modulation: layers that turn text and time into scales and shifts; empty: the blocks have none of their own.
        text: text encoders with a trainable token; None: the concept is called by a trigger word.
        fields: conditioning that the host's own nodes add, with its usual value.
        in_place: whether blocks overwrite values that their gradient needs, see `checkpointing.KeptInputs`.
        streams: where blocks take the text stream, for layer-wise vectors (7); empty: not known.
        practice: what others publish on training the family; None for one that was made up for an unknown network.
    """

    name: str
    architecture: str
    blocks: str
    attention: str
    second_attention: str = ""
    mlp: str = ""
    modulation: str = ""
    text: TextSide | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    in_place: bool = False
    streams: tuple[Stream, ...] = ()
    practice: Practice | None = None

    @property
    def listed(self) -> bool:
        """Whether the pack knows the family."""
        return self.practice is not None

    def blocks_of(self, network: nn.Module) -> list[nn.Module]:
        """Return a network's transformer blocks in the order of running."""
        return [m for n, m in network.named_modules() if re.fullmatch(self.blocks, n)]

    @property
    def layer_wise(self) -> bool:
        """Whether layer-wise vectors (7) fit."""
        return bool(self.streams)

    def text_inputs(self, network: nn.Module) -> list[TextInput]:
        """Return where a network's blocks take the text stream, in the order of running."""
        found = []
        for name, block in network.named_modules():
            stream = next((s for s in self.streams if re.fullmatch(s.blocks or self.blocks, name)), None)
            if stream is not None:
                found.append(TextInput(block, stream.argument, stream.before))
        return found

    def layers(self, targets: str) -> str:
        """Return the pattern of full names of the layers of a group, or `targets` itself where it is no group.

        Args:
            targets: a member of `lora.TARGETS`, or a regular expression.

        Raises:
            ValueError: the family has no such layers.
        """
        patterns = self._groups().get(targets)
        if patterns is None:
            return targets
        if not patterns:
            raise ValueError(
                f"The blocks of {self.name} have no layers for target_layers {targets!r}. Choose {FALLBACK!r}."
            )
        return rf"(?:{self.blocks})\.(?:{'|'.join(patterns)})"

    def suited(self, targets: str) -> str:
        """Return a group of layers, or `FALLBACK` where the family lacks it."""
        return FALLBACK if self._groups().get(targets) == [] else targets

    def _groups(self) -> dict[str, list[str]]:
        second = self.second_attention or self.attention
        groups = {
            "attention": (self.attention,),
            "attention and second attention": (second,),
            "attention and mlp": (second, self.mlp),
            "modulation": (self.modulation,),
            "all blocks": (second, self.mlp, self.modulation),
        }
        return {name: [p for p in patterns if p] for name, patterns in groups.items()}

    def architecture_of(self, network: Any) -> str:
        """Return the name of a network's architecture in modelspec."""
        return self.architecture

    def base_version(self, network: Any) -> str:
        """Return the name of a network in kohya's metadata, `ss_base_model_version`."""
        return self.architecture if self.practice is None else self.practice.base_version

    def usual(self, network: Any) -> Usual:
        """Return the settings that suit a network of this family."""
        return Usual() if self.practice is None else Usual(self.practice.rate)

    def text_widths(self, network: Any) -> dict[str, int]:
        """Return the known widths of the conditioning that a network takes, of "text" and "pooled text"."""
        return {}

    def keep_positions(self, network: Any, shapes: Iterable[Sequence[int]]) -> None:
        """Shrink a network's position embeddings in place to what latents of these shapes (C, H, W) use."""
