"""Families that share their blocks with no other."""

import comfy.supported_models as sm
import torch

from .recipe import Recipe, pooled, text

PIXART = {
    "image_model": "pixart_sigma",
    "num_heads": 2,
    "patch_size": 2,
    "hidden_size": 96,
    "in_channels": 4,
    "depth": 2,
    "model_max_length": 300,
    "micro_condition": False,
    "caption_channels": 64,
    "input_size": 64,
    "pe_interpolation": 1,
}
PIXART_ALPHA = {**PIXART, "image_model": "pixart_alpha", "model_max_length": 120, "micro_condition": True}
HUNYUAN_DIT = {
    "image_model": "hydit",
    "depth": 4,
    "hidden_size": 128,
    "num_heads": 16,
    "text_states_dim": 64,
    "text_states_dim_t5": 128,
    "text_len": 7,
    "text_len_t5": 9,
}
HUNYUAN_DIT1 = {**HUNYUAN_DIT, "image_model": "hydit1", "size_cond": True, "use_style_cond": True}
KANDINSKY5 = {
    "image_model": "kandinsky5",
    "model_dim": 128,
    "axes_dims": (32, 48, 48),
    "rope_scale_factor": (1.0, 1.0, 1.0),
    "time_dim": 64,
    "ff_dim": 128,
    "visual_embed_dim": 64,
    "num_text_blocks": 1,
    "num_visual_blocks": 2,
    "in_text_dim": 64,
    "in_text_dim2": 32,
}
ERNIE = {
    "image_model": "ernie",
    "hidden_size": 128,
    "num_attention_heads": 1,
    "num_layers": 2,
    "ffn_hidden_size": 128,
    "text_in_dim": 64,
}
PIXELDIT = {
    "image_model": "pixeldit_t2i",
    "num_groups": 1,
    "hidden_size": 64,
    "pixel_hidden_size": 4,
    "pixel_attn_hidden_size": 64,
    "pixel_num_groups": 1,
    "patch_depth": 2,
    "pixel_depth": 1,
    "txt_embed_dim": 64,
}
HIDREAM_O1 = {
    "image_model": "hidream_o1",
    "text_config_overrides": {
        "hidden_size": 128,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 1,
        "num_key_value_heads": 1,
        "vocab_size": 151936,
    },
    "vision_config_overrides": {
        "hidden_size": 32,
        "num_heads": 2,
        "intermediate_size": 32,
        "depth": 1,
        "deepstack_visual_indexes": (),
    },
}
CASCADE = {"stable_cascade_stage": "c", "c_cond": 64, "c_hidden": [64, 64], "nhead": [2, 2], "blocks": [[1, 1], [1, 1]]}
TWO_ENCODERS = {
    "cross_attn": text(7, 64),
    "attention_mask": torch.ones(1, 7, dtype=torch.long),
    "conditioning_mt5xl": text(9, 128),
    "attention_mask_mt5xl": torch.ones(1, 9, dtype=torch.long),
}
IDS = torch.randint(5, 900, (1, 9), generator=torch.Generator().manual_seed(1))


class Ideogram4(sm.Ideogram4):
    """The host fixes its sizes in the class."""

    unet_extra_config = {  # noqa: RUF012 as the host has it
        "num_attention_heads": 1,
        "attention_head_dim": 128,
        "intermediate_size": 128,
        "adaln_dim": 32,
        "llm_features_dim": 64,
        "rope_theta": 5000000,
        "mrope_section": [24, 20, 20],
        "norm_eps": 1e-5,
    }


def of(cls, unet, latent, blocks, width=64, **cond):
    return Recipe(cls, unet, latent, {"cross_attn": text(7, width), **cond}, blocks)


def stages(base):
    network = base.diffusion_model
    return [block for level in (*network.down_blocks, *network.up_blocks) for block in level]


FAMILIES = {
    # The host divides by zero at 32 × 32 and below.
    "PixArt-Sigma": of(sm.PixArtSigma, PIXART, (4, 34, 34), ("blocks",)),
    "PixArt-Alpha": of(sm.PixArtAlpha, PIXART_ALPHA, (4, 34, 34), ("blocks",), width=64, height=64),
    "HunyuanDiT": Recipe(sm.HunyuanDiT, HUNYUAN_DIT, (4, 8, 8), TWO_ENCODERS, ("blocks",)),
    "HunyuanDiT-1.0": Recipe(sm.HunyuanDiT1, HUNYUAN_DIT1, (4, 8, 8), TWO_ENCODERS, ("blocks",)),
    "Kandinsky5-Image": of(
        sm.Kandinsky5Image,
        KANDINSKY5,
        (16, 8, 8),
        ("text_transformer_blocks", "visual_transformer_blocks"),
        pooled_output=pooled(32),
    ),
    "Ernie-Image": of(sm.ErnieImage, ERNIE, (128, 8, 8), ("layers",)),
    "Ideogram4": of(
        Ideogram4, {"image_model": "ideogram4", "in_channels": 128, "num_layers": 2}, (128, 8, 8), ("layers",)
    ),
    "PixelDiT": of(sm.PixelDiTT2I, PIXELDIT, (3, 32, 32), ("patch_blocks", "pixel_blocks")),
    "HiDream-O1": Recipe(
        sm.HiDreamO1, HIDREAM_O1, (3, 64, 64), {"cross_attn": None, "text_input_ids": IDS}, ("language_model.layers",)
    ),
    "StableCascade-C": of(sm.Stable_Cascade_C, CASCADE, (16, 8, 8), stages, 1280, pooled_output=text(1, 1280)),
}
