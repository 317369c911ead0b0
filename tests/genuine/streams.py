"""Qwen-Image and other networks with a stream for the image and one for the text."""

import comfy.supported_models as sm
import torch

from .recipe import Recipe, pooled, text

QWEN = {
    "image_model": "qwen_image",
    "in_channels": 64,
    "num_layers": 2,
    "num_attention_heads": 1,
    "joint_attention_dim": 64,
}
HIDREAM = {
    "image_model": "hidream",
    "attention_head_dim": 128,
    "axes_dims_rope": [64, 32, 32],
    "caption_channels": [64, 64],
    "max_resolution": [128, 128],
    "in_channels": 16,
    "llama_layers": [0, 1, 2, 2],
    "num_attention_heads": 1,
    "num_routed_experts": 4,
    "num_activated_experts": 2,
    "num_layers": 2,
    "num_single_layers": 2,
    "out_channels": 16,
    "patch_size": 2,
    "text_emb_dim": 32,
}
AURAFLOW = {
    "max_seq": 64,
    "cond_seq_dim": 2048,
    "n_double_layers": 2,
    "n_layers": 4,
    "dim": 128,
    "n_heads": 2,
    "global_conddim": 128,
}
MAGE_FLOW = {**QWEN, "image_model": "mage_flow", "in_channels": 128}
JOY = {
    "image_model": "joyimage",
    "in_channels": 16,
    "hidden_size": 128,
    "patch_size": [1, 2, 2],
    "num_layers": 2,
    "num_attention_heads": 1,
    "text_dim": 4096,
}
LENS = {
    "image_model": "lens",
    "in_channels": 128,
    "out_channels": 32,
    "num_layers": 2,
    "num_attention_heads": 1,
    "enc_hidden_dim": 32,
    "multi_layer_encoder_feature": True,
    "selected_layer_index": (0, 1),
}
STILL = (16, 1, 8, 8)
LLAMA = torch.randn(1, 3, 7, 64, generator=torch.Generator().manual_seed(5))
REFERENCE = torch.randn(1, 16, 1, 8, 8, generator=torch.Generator().manual_seed(6))
ALL_ROWS = torch.ones(1, 7, dtype=torch.long)


def of(cls, unet, latent, blocks=("transformer_blocks",), width=64, **cond):
    return Recipe(cls, unet, latent, {"cross_attn": text(7, width), **cond}, blocks)


FAMILIES = {
    "Qwen-Image": of(sm.QwenImage, QWEN, STILL),
    "Qwen-Image-Edit": of(sm.QwenImage, QWEN, STILL, reference_latents=[REFERENCE]),
    "HiDream-I1": of(
        sm.HiDream,
        HIDREAM,
        (16, 8, 8),
        ("double_stream_blocks", "single_stream_blocks"),
        conditioning_llama3=LLAMA,
        pooled_output=pooled(32),
    ),
    "AuraFlow": of(sm.AuraFlow, AURAFLOW, (4, 8, 8), ("double_layers", "single_layers"), 2048),
    "MageFlow": of(sm.MageFlow, MAGE_FLOW, (128, 8, 8)),
    "JoyImage": of(sm.JoyImage, JOY, STILL, ("double_blocks",), 4096),
    "Lens": of(sm.Lens, LENS, (128, 8, 8), attention_mask=ALL_ROWS),
}
