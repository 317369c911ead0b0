"""Describe Stable Diffusion 1.5, 2 and XL: U-Nets with transformer blocks."""

# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .family import Family, Stream
from .practice import Practice
from .text import Encoder, TextSide


class _UNet(Family):
    def text_widths(self, network: Any) -> dict[str, int]:
        """Return the width of the text, which every block takes."""
        block: Any = self.blocks_of(network)[0]
        return {"text": block.attn2.to_k.in_features}


SD15 = _UNet(
    name="Stable Diffusion 1.5",
    architecture="stable-diffusion-v1",
    blocks=r".*\.transformer_blocks\.\d+",
    attention=r"attn[12]\.to_(q|k|v|out\.0)",
    mlp=r"ff\.net\.(0\.proj|2)",
    text=TextSide({"clip_l": Encoder("l", 768)}, width=768),
    streams=(Stream("context"),),
    practice=Practice(
        "sd_1.5",
        "diffusers, examples/dreambooth/README.md (LoRA); guidance: pipeline default",
        resolution=512,
        guidance=7.5,
        targets="attention",
        rank=4,
        steps=500,
        preferred=r"lora_unet_(down|mid|up)_block.*",
    ),
)
SD2 = replace(
    SD15,
    name="Stable Diffusion 2",
    architecture="stable-diffusion-v2-768-v",
    text=TextSide({"clip_h": Encoder("h", 1024)}, width=1024),
    practice=Practice(
        "sd-v2-1",
        "diffusers, examples/dreambooth/README.md (LoRA), at the model's resolution; guidance: pipeline default",
        resolution=768,
        guidance=7.5,
        targets="attention",
        rank=4,
        steps=500,
        preferred=r"lora_unet_(down|mid|up)_block.*",
    ),
)
SDXL = replace(
    SD15,
    name="SDXL",
    architecture="stable-diffusion-xl-v1-base",
    text=TextSide({"clip_l": Encoder("l", 768), "clip_g": Encoder("g", 1280)}, width=2048),
    practice=Practice(
        "sdxl_base_v1-0",
        "diffusers, examples/dreambooth/README_sdxl.md; guidance: pipeline default",
        guidance=5.0,
        targets="attention",
        rank=4,
        steps=500,
        preferred=r"lora_unet_(input|middle|output)_block.*",
    ),
)
