"""Describe Z-Image, Lumina 2, OmniGen2 and Boogu: refiners of text and image, then layers of both."""

# SPDX-License-Identifier: GPL-3.0-or-later

from dataclasses import replace

from .family import Family, Stream
from .practice import Practice

LUMINA2 = Family(
    "Lumina 2",
    "lumina-2",
    blocks=r"(context_refiner|noise_refiner|layers)\.\d+",
    attention=r"attention\.(qkv|out)",
    mlp=r"feed_forward\.w[123]",
    modulation=r"adaLN_modulation\.\d",
    streams=(Stream(0, r"layers\.\d+"),),
    practice=Practice("lumina2", "ai-toolkit, train_lora_lumina.yaml; shift of sd-scripts", shift=6.0, steps=2000),
)
Z_IMAGE = replace(
    LUMINA2,
    name="Z-Image",
    architecture="z-image",
    practice=Practice("zimage", "SimpleTuner, z-image.peft-lora (Turbo: guidance 1)", rank=64, steps=1000),
)
