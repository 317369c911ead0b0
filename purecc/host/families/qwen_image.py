"""Describe Qwen-Image and its kin: blocks with a stream for the image and one for the text."""

# SPDX-License-Identifier: GPL-3.0-or-later

from dataclasses import replace

from .family import Family, Stream
from .practice import Practice

QWEN_IMAGE = Family(
    "Qwen-Image",
    "qwen-image",
    blocks=r"transformer_blocks\.\d+",
    attention=r"attn\.(to_[qkv]|to_out\.0|add_[qkv]_proj|to_add_out)",
    mlp=r"(img|txt)_mlp\.net\.(0\.proj|2)",
    modulation=r"(img|txt)_mod\.1",
    streams=(Stream("encoder_hidden_states"),),
    practice=Practice("qwen_image", "ai-toolkit, train_lora_qwen_image_24gb.yaml", guidance=3.0, steps=2000),
)
MAGE_FLOW = replace(
    QWEN_IMAGE,
    name="MageFlow",
    architecture="mage-flow",
    practice=Practice("mageflow", "SimpleTuner, mageflow-image-24g.peft-lora", guidance=1.0, rank=32, steps=250),
)
