"""Lumina 2, Z-Image, OmniGen2 and Boogu: refiners of text and image, then layers of both."""

import comfy.supported_models as sm
import torch

from .recipe import Recipe, pooled, text

BLOCKS = ("context_refiner", "noise_refiner", "layers")
LUMINA2 = {
    "image_model": "lumina2",
    "patch_size": 2,
    "in_channels": 16,
    "dim": 96,
    "cap_feat_dim": 64,
    "n_layers": 2,
    "n_refiner_layers": 1,
    "qk_norm": True,
    "n_heads": 1,
    "n_kv_heads": 1,
    "axes_dims": [32, 32, 32],
    "axes_lens": [300, 512, 512],
    "rope_theta": 10000.0,
    "ffn_dim_multiplier": 4.0,
}
Z_IMAGE = {
    **LUMINA2,
    "dim": 256,
    "n_heads": 2,
    "n_kv_heads": 2,
    "axes_dims": [32, 48, 48],
    "axes_lens": [1536, 512, 512],
    "rope_theta": 256.0,
    "ffn_dim_multiplier": 8 / 3,
    "z_image_modulation": True,
    "time_scale": 1000.0,
    "pad_tokens_multiple": 32,
}
PIXELS = {
    **Z_IMAGE,
    "image_model": "zimage_pixel",
    "patch_size": 8,
    "in_channels": 3,
    "decoder_in_channels": 192,
    "decoder_hidden_size": 64,
    "decoder_num_res_blocks": 1,
    "decoder_max_freqs": 4,
}
OMNIGEN2 = {
    "image_model": "omnigen2",
    "axes_dim_rope": [40, 40, 40],
    "axes_lens": [1024, 1664, 1664],
    "ffn_dim_multiplier": None,
    "hidden_size": 120,
    "in_channels": 16,
    "multiple_of": 32,
    "norm_eps": 1e-5,
    "num_attention_heads": 1,
    "num_kv_heads": 1,
    "num_layers": 2,
    "num_refiner_layers": 1,
    "out_channels": None,
    "patch_size": 2,
    "text_feat_dim": 64,
    "timestep_scale": 1000.0,
}
BOOGU = {
    "image_model": "boogu",
    "hidden_size": 120,
    "num_layers": 2,
    "num_double_stream_layers": 1,
    "num_refiner_layers": 1,
    "instruction_feat_dim": 64,
    "num_attention_heads": 1,
    "num_kv_heads": 1,
    "multiple_of": 32,
}
ALL_ROWS = torch.ones(1, 7, dtype=torch.long)


def of(cls, unet, latent=(16, 8, 8), blocks=BLOCKS, **cond):
    return Recipe(cls, unet, latent, {"cross_attn": text(7, 64), **cond}, blocks)


FAMILIES = {
    "Lumina2": of(sm.Lumina2, LUMINA2, attention_mask=ALL_ROWS),
    "NewBie": of(sm.Lumina2, {**LUMINA2, "clip_text_dim": 32}, attention_mask=ALL_ROWS, pooled_output=pooled(32)),
    "Z-Image": of(sm.ZImage, Z_IMAGE),
    "ZImage-pixel": of(sm.ZImagePixelSpace, PIXELS, (3, 32, 32)),
    "OmniGen2": of(sm.Omnigen2, OMNIGEN2, attention_mask=ALL_ROWS),
    "Boogu": of(
        sm.Boogu,
        BOOGU,
        blocks=("context_refiner", "noise_refiner", "double_stream_layers", "single_stream_layers"),
        attention_mask=ALL_ROWS,
    ),
}
