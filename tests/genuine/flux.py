"""Flux and its kin: double blocks of text and image, then single blocks of both."""

import comfy.supported_models as sm
import torch

from .recipe import Recipe, pooled, text

BLOCKS = ("double_blocks", "single_blocks")
FLUX = {
    "image_model": "flux",
    "axes_dim": [16, 56, 56],
    "num_heads": 1,
    "mlp_ratio": 4.0,
    "theta": 10000,
    "out_channels": 16,
    "qkv_bias": True,
    "txt_ids_dims": [],
    "in_channels": 16,
    "hidden_size": 128,
    "context_in_dim": 64,
    "patch_size": 2,
    "vec_in_dim": 32,
    "depth": 2,
    "depth_single_blocks": 2,
    "guidance_embed": False,
    "yak_mlp": False,
    "txt_norm": False,
}
LONGCAT = {**FLUX, "vec_in_dim": None, "context_in_dim": 3584, "txt_ids_dims": [1, 2]}
OVIS = {**FLUX, "vec_in_dim": None, "yak_mlp": True, "txt_norm": True, "txt_ids_dims": [1, 2]}
FLUX2 = {
    **FLUX,
    "image_model": "flux2",
    "axes_dim": [32, 32, 32, 32],
    "mlp_ratio": 3.0,
    "theta": 2000,
    "out_channels": 128,
    "global_modulation": True,
    "mlp_silu_act": True,
    "qkv_bias": False,
    "ops_bias": False,
    "default_ref_method": "index",
    "ref_index_scale": 10.0,
    "txt_ids_dims": [3],
    "in_channels": 128,
    "patch_size": 1,
    "vec_in_dim": None,
}
CHROMA = {
    "image_model": "chroma",
    "axes_dim": [16, 56, 56],
    "num_heads": 1,
    "mlp_ratio": 4.0,
    "theta": 10000,
    "out_channels": 64,
    "qkv_bias": True,
    "txt_ids_dims": [],
    "in_channels": 64,
    "hidden_size": 128,
    "context_in_dim": 64,
    "patch_size": 2,
    "vec_in_dim": None,
    "depth": 2,
    "depth_single_blocks": 2,
    "in_dim": 64,
    "out_dim": 128,
    "hidden_dim": 32,
    "n_layers": 2,
}
RADIANCE = {
    **CHROMA,
    "image_model": "chroma_radiance",
    "in_channels": 3,
    "out_channels": 3,
    "patch_size": 16,
    "nerf_hidden_size": 16,
    "nerf_mlp_ratio": 2,
    "nerf_depth": 1,
    "nerf_max_freqs": 4,
    "nerf_tile_size": 512,
    "nerf_final_head_type": "conv",
    "nerf_embedder_dtype": torch.float32,
    "use_x0": False,
    "use_sequential_txt_ids": False,
}
HUNYUAN_IMAGE = {
    "image_model": "hunyuan_video",
    "in_channels": 64,
    "patch_size": [1, 1],
    "out_channels": 64,
    "vec_in_dim": None,
    "axes_dim": [64, 64],
    "meanflow": False,
    "context_in_dim": 64,
    "hidden_size": 128,
    "mlp_ratio": 4.0,
    "num_heads": 1,
    "depth": 2,
    "depth_single_blocks": 2,
    "theta": 256,
    "qkv_bias": True,
    "byt5": False,
    "guidance_embed": False,
    "use_cond_type_embedding": False,
    "vision_in_dim": None,
    "meanflow_sum": False,
}


def of(cls, unet, latent=(16, 8, 8), blocks=BLOCKS, width=64, **cond):
    return Recipe(cls, unet, latent, {"cross_attn": text(7, width), **cond}, blocks)


FAMILIES = {
    "Flux.1-dev": of(sm.Flux, {**FLUX, "guidance_embed": True}, pooled_output=pooled(32), guidance=3.5),
    "Flux.1-schnell": of(sm.FluxSchnell, FLUX, pooled_output=pooled(32)),
    "Flux.2-dev": of(sm.Flux2, {**FLUX2, "guidance_embed": True}, (128, 8, 8), guidance=4.0),
    "Flux.2-klein": of(sm.Flux2, FLUX2, (128, 8, 8)),
    "LongCat-Image": of(sm.LongCatImage, LONGCAT, width=3584),
    "Ovis-Image": of(sm.FluxSchnell, OVIS),
    "Chroma": of(sm.Chroma, CHROMA),
    "Chroma-Radiance": of(sm.ChromaRadiance, RADIANCE, (3, 32, 32), (*BLOCKS, "nerf_blocks")),
    "HunyuanImage2.1": of(
        sm.HunyuanImage21, HUNYUAN_IMAGE, (64, 8, 8), (*BLOCKS, "txt_in.individual_token_refiner.blocks")
    ),
}
