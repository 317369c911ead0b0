"""Describe Flux and its kin: double blocks of text and image, then single blocks of both."""

# SPDX-License-Identifier: GPL-3.0-or-later

from dataclasses import replace

from .family import Family, Stream
from .practice import Practice

FLUX = Family(
    "Flux.1",
    "flux-1-dev",
    blocks=r"(double|single)_blocks\.\d+",
    attention=r"(img|txt)_attn\.(qkv|proj)|linear[12]",
    mlp=r"(img|txt)_mlp\.([02]|(gate|up|down)_proj)",
    modulation=r"(img|txt)_mod\.lin|modulation\.lin",
    fields={"guidance": 3.5},
    in_place=True,
    streams=(Stream("txt", r"double_blocks\.\d+"), Stream(0, r"single_blocks\.\d+")),
    practice=Practice("flux1", "ai-toolkit, train_lora_flux_24gb.yaml", guidance=3.5, steps=2000),
)


def _padded(stream: int, text: int) -> int:
    """Return the rows that Flux.2 puts before a text of less than 512."""
    return max(512 - text, 0)


FLUX2 = replace(
    FLUX,
    name="Flux.2",
    architecture="flux-2-dev",
    modulation="",
    streams=tuple(replace(stream, before=_padded) for stream in FLUX.streams),
    practice=Practice(
        "flux2", "SimpleTuner, flux2.peft-lora", shift=3.0, preferred=r".*\.(linear_in|linear_out|attn\.to_out)"
    ),
)
LONGCAT = replace(
    FLUX,
    name="LongCat-Image",
    architecture="longcat-image",
    practice=Practice("longcat_image", "SimpleTuner, longcat-image.peft-lora", steps=1000),
)
CHROMA = replace(
    FLUX,
    name="Chroma",
    architecture="chroma",
    modulation="",
    fields={"guidance": 0.0},
    practice=Practice("chroma", "ai-toolkit, train_lora_chroma_24gb.yaml", steps=2000),
)
HUNYUAN_IMAGE = replace(
    FLUX,
    name="HunyuanImage 2.1",
    architecture="hunyuan-image-2.1",
    fields={"guidance": 6.0},
    practice=Practice("hunyuan-image-2.1", "sd-scripts, hunyuan_image_train_network.md", guidance=3.5, shift=5.0),
)
