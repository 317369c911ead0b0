"""The networks of the released step, random: diffusers' transformer and autoencoder, transformers' text encoders."""

from __future__ import annotations

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.transformers.transformer_sd3 import SD3Transformer2DModel
from diffusers.utils import logging
from peft import LoraConfig
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModelWithProjection, T5Config, T5EncoderModel

from speed.sizes import Encoder, Size

logging.set_verbosity_error()

TARGETS = [
    f"attn.{name}"
    for name in ("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")
]
"""Attention of both streams, not the second attention."""


def transformer(size: Size, device: torch.device) -> SD3Transformer2DModel:
    """The transformer, frozen."""
    shape = dict(
        sample_size=size.position_side // 3,
        patch_size=2,
        in_channels=16,
        out_channels=16,
        num_layers=size.depth,
        attention_head_dim=64,
        num_attention_heads=size.depth,
        joint_attention_dim=size.encoders["t5xxl"].width,
        caption_projection_dim=size.hidden,
        pooled_projection_dim=size.encoders["clip_l"].width + size.encoders["clip_g"].width,
        pos_embed_max_size=size.position_side,
        dual_attention_layers=tuple(range(size.second_attention)),
        qk_norm="rms_norm",
    )
    return _made(lambda: SD3Transformer2DModel(**shape), size, device)


def add_lora(network: SD3Transformer2DModel, size: Size) -> list[nn.Parameter]:
    """Puts a LoRA of rank 4 on the transformer and returns its weights, in the size's type."""
    network.add_adapter(LoraConfig(r=4, lora_alpha=4, init_lora_weights="gaussian", target_modules=TARGETS))
    weights = [w for w in network.parameters() if w.requires_grad]
    for w in weights:
        w.data = w.data.to(size.dtype)
    return weights


def clip(shape: Encoder, size: Size, device: torch.device) -> CLIPTextModelWithProjection:
    """CLIP-L or CLIP-G."""
    config = CLIPTextConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        projection_dim=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,  # the pooled row is then that of the largest id, which the last of the published tokens has
    )
    return _made(lambda: CLIPTextModelWithProjection(config), size, device)


def t5(shape: Encoder, size: Size, device: torch.device) -> T5EncoderModel:
    """T5-XXL's encoder."""
    config = T5Config(
        vocab_size=shape.vocabulary,
        d_model=shape.width,
        d_ff=shape.inner,
        d_kv=64,
        num_layers=shape.layers,
        num_heads=shape.heads,
        feed_forward_proj="gated-gelu",
    )
    return _made(lambda: T5EncoderModel(config), size, device)


def autoencoder(size: Size, device: torch.device) -> AutoencoderKL:
    """The VAE, whole as the scripts load it."""
    w = size.vae_width
    return _made(
        lambda: AutoencoderKL(
            latent_channels=16,
            block_out_channels=(w, 2 * w, 4 * w, 4 * w),
            layers_per_block=2,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            norm_num_groups=min(32, w),
            scaling_factor=1.5305,
            shift_factor=0.0609,
            use_quant_conv=False,
            use_post_quant_conv=False,
        ),
        size,
        device,
    )


def _made(build, size: Size, device: torch.device) -> nn.Module:
    """A frozen network, built on the device in the type that it runs in."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(size.dtype)
    try:
        with torch.device(device):
            return build().to(device, size.dtype).requires_grad_(False).eval()
    finally:
        torch.set_default_dtype(before)
