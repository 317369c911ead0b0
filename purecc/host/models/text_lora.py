"""Apply the LoRA of text encoders that a file of another program holds."""

# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import comfy.lora
import comfy.sd
from comfy.sd import CLIP

from ...adapters.files import Adapter
from ...adapters.pairs import split


def with_text_lora(clip: CLIP, adapter: Adapter, strength: float) -> CLIP:
    """Return a CLIP with an adapter's LoRA of text encoders, as the stock loader applies it.

    Raises:
        ValueError: the CLIP lacks a layer; names it.
    """
    known = comfy.lora.model_lora_keys_clip(clip.cond_stage_model, {})
    missing = sorted({name or key for key in adapter.text_lora if (name := split(key)[0]) not in known})
    if missing:
        raise ValueError(
            f"The adapter {adapter.name!r} changes {len(missing)} layers of text encoders that this CLIP lacks, as "
            f"{missing[0]}. Connect the CLIP that belongs to its base model."
        )
    _, out = comfy.sd.load_lora_for_models(None, clip, dict(adapter.text_lora), 0, strength)
    return out
