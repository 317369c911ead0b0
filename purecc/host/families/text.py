"""Describe text encoders: in which of them a token can be trained, and how they give the text stream."""

# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from comfy.clip_model import CLIPTextModel
from comfy.sd import CLIP
from comfy.sd1_clip import SDClipModel
from comfy.text_encoders.bert import BertModel
from comfy.text_encoders.llama import BaseLlama
from comfy.text_encoders.t5 import T5
from torch import nn

from ...adapters.adapter import ENCODERS

WITH_ROOM = (CLIPTextModel, T5, BertModel, BaseLlama)
"""Networks of text encoders that take a vector in the place of a token."""

FOUND_BY_STOCK = (
    *("SD3ClipModel", "SDXLClipModel", "SD2ClipModel", "FluxClipModel", "HiDreamTEModel", "PixArtT5XXL"),
    *("CosmosT5XXL", "Flux2TEModel", "ZImageTEModel", "BooguTEModel", "JoyImageTEModel", "Ideogram4TEModel"),
    *("Ideogram4Qwen3VLTEModel", "MageFlowTEModel", "Krea2TEModel", "ErnieTEModel"),
)
"""The host's classes of text encoders whose tokenizers look up `embedding:NAME`, beside that of Stable Diffusion 1."""

CUT_FROM = {"LongCatImageTEModel": 151645}
"""Tokens at whose last place an encoder cuts the text stream: the end of the user's message."""


ENCODERS_OF = {
    **{"Flux.1": "FluxClipModel", "LongCat-Image": "LongCatImageTEModel", "Flux.2": "Flux2TEModel"},
    **{"Chroma": "PixArtT5XXL", "PixArt": "PixArtT5XXL", "HunyuanImage 2.1": "HunyuanImageTEModel"},
    **{"Qwen-Image": "QwenImageTEModel", "MageFlow": "MageFlowTEModel", "Lumina 2": "LuminaModel"},
    **{"Z-Image": "ZImageTEModel", "HiDream-I1": "HiDreamTEModel", "AuraFlow": "AuraT5Model"},
    **{"HunyuanDiT": "HyditModel", "Wan": "WanT5Model", "Cosmos-Predict2": "CosmosT5XXL", "Anima": "AnimaTEModel"},
    **{"Kandinsky 5": "Kandinsky5TEModel", "Ideogram 4": "Ideogram4TEModel", "Ernie-Image": "ErnieTEModel"},
    **{"Omnigen2": "Omnigen2Model", "Boogu": "BooguTEModel", "Krea2": "Krea2TEModel", "JoyImage": "JoyImageTEModel"},
}
"""The host's class of the text encoders of a family, by the family's name, beside those of CLIP alone."""

STAND_INS = {"AnimaTEModel": ("t5xxl", 32099)}
"""In Anima the rows are the words that T5's tokenizer makes; the token is T5's first for a gap in a text."""

GLYPHS = ("byt5_small",)
"""Encoders that read only what a prompt quotes."""


@dataclass(frozen=True)
class Encoder:
    """A text encoder in which a token can be trained.

    Attributes:
        key: its name among a prompt's tokens.
        width: columns that the family reserves for it, filled with zeros where the encoder is absent.
    """

    key: str
    width: int = 0


@dataclass(frozen=True)
class TextSide:
    """The text encoders of a family and what they give to the network.

    Attributes:
        encoders: text encoders in which a token can be trained, by the name of the module, in the order of the columns.
        width: of the text stream.
        untrained: modules of the other text encoders.
        pooled: whether the pooled vector is that of every encoder, side by side, or of the last.
        of_clip: whether the rows of the text stream are CLIP's, side by side in its columns. If not, the host's own
            code joins what the encoders give.
        by_stock: whether `embedding:NAME` of a stock prompt finds the token.
        rows: for encoders that are not CLIP's alone, the one whose rows are the text stream.
        cut_from: the token whose last place ends the text stream, where the host cuts what follows.
        stand_in: where the rows of the text stream are the words of another tokenizer, its key, and the token that
            stands for [v] there.
    """

    encoders: Mapping[str, Encoder]
    width: int = 0
    untrained: tuple[str, ...] = ()
    pooled: Literal["all", "last"] = "last"
    of_clip: bool = True
    by_stock: bool = True
    rows: str = ""
    cut_from: int | None = None
    stand_in: tuple[str, int] | None = None

    @property
    def free(self) -> range:
        """The columns of the text stream that are zero in the rows of `encoders`."""
        return range(sum(encoder.width for encoder in self.encoders.values()), self.width)

    def cut(self, tokens: Sequence[tuple], count: int) -> int:
        """Return how many tokens before the prompt have no row in the text stream: those of a chat template.

        Args:
            tokens: of the encoder `rows`, with their weights.
            count: rows of the text stream.
        """
        ends = [k for k, entry in enumerate(tokens) if isinstance(entry[0], int) and entry[0] == self.cut_from]
        return (ends[-1] if ends else len(tokens)) - count


def encoders_with_room(clip: CLIP) -> dict[str, Encoder]:
    """Return every text encoder of a CLIP that takes a vector in the place of a token, by name."""
    model = clip.cond_stage_model
    children = model.named_children() if isinstance(model, nn.Module) else ()
    return {
        name: Encoder(name.removeprefix("clip_"))
        for name, child in children
        if isinstance(child, SDClipModel) and isinstance(child.transformer, WITH_ROOM) and name in ENCODERS
    }


def other_side(clip: CLIP) -> TextSide | None:
    """Return the text side of a CLIP whose text stream is not CLIP's, or None if none of its encoders has room."""
    encoders = encoders_with_room(clip)
    if not encoders:
        return None
    names = {cls.__name__ for cls in type(clip.cond_stage_model).__mro__}
    rows = next((name for name in encoders if not name.startswith("clip_")), next(iter(encoders)))
    cut_from = next((token for name, token in CUT_FROM.items() if name in names), None)
    stand_in = next((known for name, known in STAND_INS.items() if name in names), None)
    by_stock = not names.isdisjoint(FOUND_BY_STOCK)
    untrained = tuple(name for name in GLYPHS if getattr(clip.cond_stage_model, name, None) is not None)
    return TextSide(
        encoders,
        untrained=untrained,
        of_clip=False,
        by_stock=by_stock,
        rows=rows,
        cut_from=cut_from,
        stand_in=stand_in,
    )
