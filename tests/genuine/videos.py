"""Wan, Cosmos-Predict2, Anima and Krea 2: stills are videos of one frame."""

from contextlib import contextmanager
from functools import partial

import comfy.ldm.anima.model
import comfy.supported_models as sm
import torch

from .recipe import Recipe, text

WAN = {
    "image_model": "wan2.1",
    "model_type": "t2v",
    "dim": 128,
    "out_dim": 16,
    "num_heads": 1,
    "ffn_dim": 128,
    "num_layers": 2,
    "patch_size": (1, 2, 2),
    "freq_dim": 256,
    "window_size": (-1, -1),
    "qk_norm": True,
    "cross_attn_norm": True,
    "eps": 1e-6,
    "in_dim": 16,
}
COSMOS = {
    "image_model": "cosmos_predict2",
    "max_img_h": 240,
    "max_img_w": 240,
    "max_frames": 128,
    "in_channels": 16,
    "out_channels": 16,
    "patch_spatial": 2,
    "patch_temporal": 1,
    "model_channels": 128,
    "concat_padding_mask": True,
    "crossattn_emb_channels": 64,
    "pos_emb_cls": "rope3d",
    "pos_emb_learnable": True,
    "pos_emb_interpolation": "crop",
    "min_fps": 1,
    "max_fps": 30,
    "use_adaln_lora": True,
    "adaln_lora_dim": 16,
    "num_blocks": 2,
    "num_heads": 1,
    "extra_per_block_abs_pos_emb": False,
    "rope_h_extrapolation_ratio": 4.0,
    "rope_w_extrapolation_ratio": 4.0,
    "rope_t_extrapolation_ratio": 1.0,
    "extra_h_extrapolation_ratio": 1.0,
    "extra_w_extrapolation_ratio": 1.0,
    "extra_t_extrapolation_ratio": 1.0,
    "rope_enable_fps_modulation": False,
}
KREA2 = {
    "image_model": "krea2",
    "features": 128,
    "channels": 16,
    "patch": 2,
    "layers": 2,
    "heads": 1,
    "kvheads": 1,
    "txtlayers": 2,
    "txtdim": 160,
    "txtheads": 20,
    "txtkvheads": 20,
}
T5_IDS = torch.randint(1, 900, (9,), generator=torch.Generator().manual_seed(1))
STILL = (16, 1, 8, 8)


def wan(**over):
    return {**WAN, **over}


@contextmanager
def small_adapter():
    """Anima's adapter of the language model has no size in the configuration."""
    own = comfy.ldm.anima.model.LLMAdapter
    sizes = {"source_dim": 64, "target_dim": 64, "model_dim": 64, "num_layers": 1, "num_heads": 2}
    comfy.ldm.anima.model.LLMAdapter = partial(own, **sizes)
    try:
        yield
    finally:
        comfy.ldm.anima.model.LLMAdapter = own


def of(cls, unet, latent=STILL, width=64, blocks=("blocks",), small=None, **cond):
    given = {} if small is None else {"small": small}
    return Recipe(cls, unet, latent, {"cross_attn": text(7, width), **cond}, blocks, **given)


FAMILIES = {
    "Wan2.1/2.2-A14B": of(sm.WAN21_T2V, wan(), width=4096),
    "Wan2.2-5B": of(sm.WAN22_T2V, wan(out_dim=48, in_dim=48), (48, 1, 8, 8), 4096),
    "Cosmos-Predict2": of(sm.CosmosT2IPredict2, COSMOS),
    "Anima": of(
        sm.Anima,
        {**COSMOS, "image_model": "anima"},
        small=small_adapter,
        t5xxl_ids=T5_IDS,
        t5xxl_weights=torch.ones(9),
    ),
    "Krea2": of(
        sm.Krea2, KREA2, width=320, blocks=("txtfusion.layerwise_blocks", "txtfusion.refiner_blocks", "blocks")
    ),
}
