"""The networks of the released step, with random weights: diffusers' transformer and VAE, transformers' encoders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.transformers.transformer_sd3 import SD3Transformer2DModel
from diffusers.utils import logging
from peft import LoraConfig
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, T5Config, T5EncoderModel

from speed.sd3 import Encoder, StableDiffusion3

logging.set_verbosity_error()

TARGETS = ("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")
"""Attention of both streams; not the second attention."""


def transformer(size: StableDiffusion3, device: torch.device) -> Any:
    """Return the transformer, frozen."""
    clip_l, clip_g, t5xxl = size.encoders
    shape: dict[str, Any] = {
        "sample_size": size.position_side // 3,
        "patch_size": 2,
        "in_channels": 16,
        "out_channels": 16,
    }
    shape |= {"num_layers": size.depth, "attention_head_dim": 64, "num_attention_heads": size.depth}
    shape |= {"joint_attention_dim": t5xxl.width, "caption_projection_dim": size.hidden, "qk_norm": "rms_norm"}
    shape |= {"pooled_projection_dim": clip_l.width + clip_g.width, "pos_embed_max_size": size.position_side}
    shape |= {"dual_attention_layers": tuple(range(size.second_attention))}
    return _made(lambda: SD3Transformer2DModel(**shape), size, device)


def add_lora(network: SD3Transformer2DModel, size: StableDiffusion3) -> list[nn.Parameter]:
    """Put a LoRA of rank 4 on the transformer and return its weights, in the size's type."""
    targets = [f"attn.{name}" for name in TARGETS]
    network.add_adapter(LoraConfig(r=4, lora_alpha=4, init_lora_weights="gaussian", target_modules=targets))
    weights = [w for w in network.parameters() if w.requires_grad]
    for w in weights:
        w.data = w.data.to(size.dtype)
    return weights


def clip(shape: Encoder, size: StableDiffusion3, device: torch.device) -> CLIPTextModelWithProjection:
    """Return CLIP-L or CLIP-G, by its shape."""
    config = CLIPTextConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        projection_dim=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,  # the pooled row is then that of the largest id, as with the published tokens
    )
    return _made(lambda: CLIPTextModelWithProjection(config), size, device)


def t5(shape: Encoder, size: StableDiffusion3, device: torch.device) -> T5EncoderModel:
    """Return T5's encoder."""
    config: dict[str, Any] = {
        "d_model": shape.width,
        "d_ff": shape.inner,
        "d_kv": 64,
        "feed_forward_proj": "gated-gelu",
    }
    config |= {"vocab_size": shape.vocabulary, "num_layers": shape.layers, "num_heads": shape.heads}
    return _made(lambda: T5EncoderModel(T5Config(**config)), size, device)


def autoencoder(size: StableDiffusion3, device: torch.device) -> Any:
    """Return the whole VAE, as the scripts load it."""
    w = size.vae_width
    shape: dict[str, Any] = {
        "latent_channels": 16,
        "block_out_channels": (w, 2 * w, 4 * w, 4 * w),
        "layers_per_block": 2,
    }
    shape |= {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    shape |= {"norm_num_groups": min(32, w), "scaling_factor": 1.5305, "shift_factor": 0.0609}
    shape |= {"use_quant_conv": False, "use_post_quant_conv": False}
    return _made(lambda: AutoencoderKL(**shape), size, device)


def _made(build: Callable[[], nn.Module], size: StableDiffusion3, device: torch.device) -> Any:
    """Build a frozen network on the device in the type that it runs in."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(size.dtype)
    try:
        with torch.device(device):
            return build().to(device, size.dtype).requires_grad_(False).eval()
    finally:
        torch.set_default_dtype(before)
