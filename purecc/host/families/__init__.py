"""Find the family of a model; the only package that knows model families."""

# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

from comfy.model_patcher import ModelPatcher
from comfy.sd import CLIP
from torch import nn

from ...network.linear import is_linear
from .family import Family, Stream
from .flux import CHROMA, FLUX, FLUX2, HUNYUAN_IMAGE, LONGCAT
from .lumina import LUMINA2, Z_IMAGE
from .others import ANIMA, AURAFLOW, COSMOS, ERNIE, HIDREAM, HUNYUAN_DIT, IDEOGRAM4, KANDINSKY5, PIXART, WAN
from .practice import Practice
from .qwen_image import MAGE_FLOW, QWEN_IMAGE
from .refused import refuse
from .sd3 import SD3
from .text import ENCODERS_OF, FOUND_BY_STOCK, Encoder, TextSide, encoders_with_room, other_side
from .unet import SD2, SD15, SDXL

__all__ = ["ENCODERS_OF", "FOUND_BY_STOCK", "Encoder", "Family", "Practice", "TextSide", "family_of"]
__all__ += ["listed_families", "text_side"]

FAMILIES: dict[str, Family] = {
    "SD3": SD3,
    "SDXL": SDXL,
    "Flux2": FLUX2,
    "Chroma": CHROMA,
    "LongCatImage": LONGCAT,
    "HunyuanImage21": HUNYUAN_IMAGE,
    "Flux": FLUX,
    "MageFlow": MAGE_FLOW,
    "QwenImage": QWEN_IMAGE,
    "Lumina2": LUMINA2,
    "HiDream": HIDREAM,
    "AuraFlow": AURAFLOW,
    "PixArt": PIXART,
    "HunyuanDiT": HUNYUAN_DIT,
    "WAN21": WAN,
    "CosmosPredict2": COSMOS,
    "Anima": ANIMA,
    "Kandinsky5Image": KANDINSKY5,
    "Ideogram4": IDEOGRAM4,
    "ErnieImage": ERNIE,
}
"""Families by the name of the host's class of model, subclasses before their bases."""

TEXT_SIDES = {"SD3ClipModel": SD3, "SDXLClipModel": SDXL, "SD2ClipModel": SD2, "SD1ClipModel": SD15}
"""Families whose text encoders are CLIP, by the name of the host's class, likewise."""

STREAMS = {
    "Omnigen2": (Stream(0, r"layers\.\d+"),),
    "Boogu": (Stream(1, r"double_stream_layers\.\d+"), Stream(0, r"single_stream_layers\.\d+")),
    "Krea2": (Stream(0, r"blocks\.\d+"),),
    "Lens": (Stream("encoder_hidden_states", r"transformer_blocks\.\d+"),),
    "JoyImage": (Stream("encoder_hidden_states", r"double_blocks\.\d+"),),
}
"""Where the blocks of networks that are not listed take the text, by the name of the host's class of model."""


def listed_families() -> list[Family]:
    """Return every family that the pack knows, each once."""
    every = [SD15, SD2, SDXL, SD3, FLUX, *FAMILIES.values(), Z_IMAGE]
    return list({family.name: family for family in every}.values())


def family_of(model: ModelPatcher) -> Family:
    """Return the family of a MODEL; for a network that nobody listed, one with all linear layers of its blocks.

    Raises:
        ValueError: the model cannot be trained, and why.
    """
    base = model.model
    network, names = base.diffusion_model, [cls.__name__ for cls in type(base).__mro__]
    refuse(base)
    known = next((family for name, family in FAMILIES.items() if name in names), None)
    if known is None and hasattr(network, "input_blocks") and hasattr(network, "middle_block"):
        known = SD15
        if known.blocks_of(network) and known.text_widths(network) == {"text": 1024}:
            known = SD2
    if known is LUMINA2 and getattr(network, "pad_tokens_multiple", None):
        known = Z_IMAGE
    if known is None:
        return _unlisted(network, names[0])
    if not known.blocks_of(network):
        raise ValueError(f"The model ({names[0]}) has no transformer blocks to train. Load another model.")
    return known


def text_side(clip: CLIP) -> TextSide | None:
    """Return the text side of a CLIP in whose encoders a token can be trained, or None for any other CLIP."""
    model, present = clip.cond_stage_model, encoders_with_room(clip)
    names = [cls.__name__ for cls in type(model).__mro__]
    known = next((family.text for name, family in TEXT_SIDES.items() if name in names), None)
    if known is None or not set(known.encoders) & set(present) or set(present) - {*known.encoders, *known.untrained}:
        return other_side(clip)
    return known


def _unlisted(network: nn.Module, name: str) -> Family:
    """Return a family for a network that nobody listed: the linear layers of its lists of blocks.

    Raises:
        ValueError: the network has no list of at least two blocks with linear layers.
    """

    def has_linear(block: nn.Module) -> bool:
        return any(map(is_linear, block.modules()))

    lists = [
        n
        for n, m in network.named_modules()
        if isinstance(m, nn.ModuleList) and len(m) > 1 and all(has_linear(block) for block in m)
    ]
    outer = [n for n in lists if not any(n.startswith(f"{other}.") for other in lists)]
    if not outer:
        raise ValueError(f"The model ({name}) has no transformer blocks to train. Load another model.")
    blocks = rf"(?:{'|'.join(map(re.escape, outer))})\.\d+"
    streams = STREAMS.get(name, ())
    return Family(name, name.lower(), blocks, attention=r".*", in_place=True, streams=streams)
