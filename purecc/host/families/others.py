"""Describe families that share their blocks with no other."""

# SPDX-License-Identifier: GPL-3.0-or-later

from dataclasses import replace

from .family import Family, Stream
from .practice import Practice


def _text_last(stream: int, text: int) -> int:
    """Return the rows of an image, which are before the text."""
    return stream - text


def _registers(stream: int, text: int) -> int:
    """Return the rows of AuraFlow's register tokens."""
    return 8


HIDREAM = Family(
    "HiDream-I1",
    "hidream-i1",
    blocks=r"(double|single)_stream_blocks\.\d+",
    attention=r".*attn1\.to_(q|k|v|out)(_t)?",
    mlp=r".*ff_[it]\..*w[123]",
    modulation=r".*adaLN_modulation\.1",
    streams=(Stream("text_tokens", r"double_stream_blocks\.\d+"),),
    practice=Practice(
        "hidream_i1", "ai-toolkit, train_lora_hidream_48.yaml", targets="attention", rank=32, rate=2e-4, steps=3000
    ),
)
AURAFLOW = Family(
    "AuraFlow",
    "auraflow",
    blocks=r"(double|single)_layers\.\d+",
    attention=r"attn\.w[12][qkvo]",
    mlp=r"mlp[CX]?\.c_(fc[12]|proj)",
    modulation=r"mod(C|X|CX)\.1",
    streams=(Stream(0, before=_registers),),
    practice=Practice("auraflow", "SimpleTuner, auraflow.peft-lora", shift=1.73, rank=8),
)
PIXART = Family(
    "PixArt",
    "pixart-sigma",
    blocks=r"blocks\.\d+",
    attention=r"attn\.(qkv|proj)|cross_attn\.(q_linear|kv_linear|proj)",
    mlp=r"mlp\.fc[12]",
    streams=(Stream(1),),
    practice=Practice("pixart_sigma", "SimpleTuner, pixart.peft-controlnet-lora", rank=64),
)
HUNYUAN_DIT = Family(
    "HunyuanDiT",
    "hunyuan-dit",
    blocks=r"blocks\.\d+",
    attention=r"attn1\.(Wqkv|out_proj)|attn2\.(q_proj|kv_proj|out_proj)",
    mlp=r"mlp\.fc[12]",
    modulation=r"default_modulation\.1",
    practice=Practice(
        "hunyuan_dit", "Tencent HunyuanDiT, lora/README.md; guidance: sample_t2i.py", guidance=6.0, rank=64
    ),
)
WAN = Family(
    "Wan",
    "wan-2.1",
    blocks=r"blocks\.\d+",
    attention=r"(self|cross)_attn\.[qkvo]",
    mlp=r"ffn\.[02]",
    streams=(Stream("context", before=_text_last),),  # after the image, in models that start from one
    practice=Practice(
        "wan_2.1", "ai-toolkit, train_lora_wan21_14b_24gb.yaml", resolution=632, guidance=5.0, rank=32, steps=2000
    ),
)
COSMOS = Family(
    "Cosmos-Predict2",
    "cosmos-predict2",
    blocks=r"blocks\.\d+",
    attention=r"(self|cross)_attn\.(q|k|v|output)_proj",
    mlp=r"mlp\.layer[12]",
    modulation=r"adaln_modulation_\w+\.[12]",
    streams=(Stream(2),),
    practice=Practice("cosmos2", "SimpleTuner, quickstart/COSMOS2IMAGE.md (LoKr)", rate=6e-5),
)
ANIMA = replace(
    COSMOS,
    name="Anima",
    architecture="anima",
    practice=Practice("anima", "sd-scripts, anima_train_network.md", shift=1.0, rank=8),
)
KANDINSKY5 = Family(
    "Kandinsky 5",
    "kandinsky-5",
    blocks=r"(text|visual)_transformer_blocks\.\d+",
    attention=r"(self|cross)_attention\.(to_(query|key|value)|out_layer)",
    mlp=r"feed_forward\.(in|out)_layer",
    modulation=r"(text|visual)_modulation\.out_layer",
    streams=(Stream(1, r"visual_transformer_blocks\.\d+"),),
    practice=Practice("kandinsky5", "SimpleTuner, quickstart/KANDINSKY5_IMAGE.md", guidance=5.0, shift=1.0),
)
IDEOGRAM4 = Family(
    "Ideogram 4",
    "ideogram-4",
    blocks=r"layers\.\d+",
    attention=r"attention\.(qkv|o)",
    mlp=r"feed_forward\.w[123]",
    modulation=r"adaln_modulation",
    streams=(Stream(0),),
    practice=Practice("ideogram4", "SimpleTuner, ideogram-fp8.peft-lora", guidance=3.0, rank=32, steps=1000),
)
ERNIE = Family(
    "Ernie-Image",
    "ernie-image",
    blocks=r"layers\.\d+",
    attention=r"self_attention\.to_(q|k|v|out\.0)",
    mlp=r"mlp\.(gate_proj|up_proj|linear_fc2)",
    streams=(Stream(0, before=_text_last),),
    practice=Practice("ernie_image", "SimpleTuner, ernie.peft-lora", resolution=512),
)
