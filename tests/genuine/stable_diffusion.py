"""Stable Diffusion: U-Nets of 1.5, 2 and XL with their relatives, and the joint blocks of 3 and 3.5."""

import comfy.model_base as mb
import comfy.supported_models as sm
from comfy.ldm.modules.attention import BasicTransformerBlock

from .recipe import Recipe, pooled, text

UNET = {
    "use_checkpoint": False,
    "image_size": 32,
    "use_spatial_transformer": True,
    "legacy": False,
    "in_channels": 4,
    "out_channels": 4,
    "use_temporal_resblock": False,
    "use_temporal_attention": False,
    "num_res_blocks": [1, 1],
    "channel_mult": [1, 2],
}
DEPTHS = {"transformer_depth": [1, 1], "transformer_depth_output": [1, 1, 1, 1], "transformer_depth_middle": 1}
SD15 = {
    **UNET,
    **DEPTHS,
    "adm_in_channels": None,
    "model_channels": 32,
    "use_linear_in_transformer": False,
    "context_dim": 768,
}
SD2 = {**SD15, "model_channels": 64, "use_linear_in_transformer": True, "context_dim": 1024}
UNCLIP = {**SD2, "num_classes": "sequential"}
LATENT = (4, 8, 8)


def transformers(base):
    return [m for m in base.diffusion_model.modules() if isinstance(m, BasicTransformerBlock)]


def sdxl(depth, middle):
    """SDXL's kind: transformer blocks on the second level, so many deep, and in the middle."""
    return {
        **UNET,
        "num_classes": "sequential",
        "adm_in_channels": 2816,
        "model_channels": 32,
        "transformer_depth": [0, depth],
        "transformer_depth_output": [0, 0, depth, depth],
        "transformer_depth_middle": middle,
        "use_linear_in_transformer": True,
        "context_dim": 2048,
    }


class SD2V(sm.SD20):
    """The loader finds v in a statistic of the weights."""

    def model_type(self, sd, prefix=""):
        return mb.ModelType.V_PREDICTION


class UnclipL(sm.SD21UnclipL):
    def model_type(self, sd, prefix=""):
        return mb.ModelType.V_PREDICTION


class UnclipH(sm.SD21UnclipH):
    def model_type(self, sd, prefix=""):
        return mb.ModelType.V_PREDICTION


class SDXLV(sm.SDXL):
    """The loader finds v and the terminal zero in two empty tensors of the file."""

    def model_type(self, sd, prefix=""):
        return mb.ModelType.V_PREDICTION


class Playground(sm.SDXL):
    """The loader finds EDM in two statistics of the file."""

    def model_type(self, sd, prefix=""):
        return sm.SDXL.model_type(self, {"edm_mean": 0, "edm_std": 0})


def mmdit(depth, norm, second):
    """SD3's kind; the width is 64 a block."""
    return {
        "in_channels": 16,
        "patch_size": 2,
        "out_channels": 16,
        "depth": depth,
        "input_size": None,
        "adm_in_channels": 2048,
        "context_embedder_config": {
            "target": "torch.nn.Linear",
            "params": {"in_features": 4096, "out_features": 64 * depth},
        },
        "num_patches": 256,
        "pos_embed_max_size": 16,
        "qk_norm": norm,
        "pos_embed_scaling_factor": None,
        "x_block_self_attn_layers": [0] if second else [],
    }


def of_sdxl(cls, unet, **named):
    cond = {"cross_attn": text(7, 2048), "pooled_output": pooled(1280), "width": 64, "height": 64}
    return Recipe(cls, unet, LATENT, cond, transformers, **named)


def of_sd3(unet):
    cond = {"cross_attn": text(7, 4096), "pooled_output": pooled(2048)}
    return Recipe(sm.SD3, unet, (16, 8, 8), cond, ("joint_blocks",))


def of_sd2(cls, unet):
    return Recipe(cls, unet, LATENT, {"cross_attn": text(7, 1024)}, transformers)


FAMILIES = {
    "SD1.5": Recipe(sm.SD15, SD15, LATENT, {"cross_attn": text(7, 768)}, transformers),
    "SD2.0": of_sd2(sm.SD20, SD2),
    "SD2.1-v": of_sd2(SD2V, SD2),
    "SD2.1-unclip-L": of_sd2(UnclipL, {**UNCLIP, "adm_in_channels": 1536}),
    "SD2.1-unclip-H": of_sd2(UnclipH, {**UNCLIP, "adm_in_channels": 2048}),
    "SDXL": of_sdxl(sm.SDXL, sdxl(2, 2)),
    "SDXL-vpred": of_sdxl(SDXLV, sdxl(2, 2), sampling={"zsnr": True}),
    "Playground2.5": of_sdxl(Playground, sdxl(2, 2)),
    "SSD-1B": of_sdxl(sm.SSD1B, sdxl(2, 0)),
    "Segmind-Vega": of_sdxl(sm.Segmind_Vega, sdxl(1, -1)),
    "KOALA-700M": of_sdxl(sm.KOALA_700M, sdxl(2, -1)),
    "KOALA-1B": of_sdxl(sm.KOALA_1B, sdxl(3, 3)),
    "SD3-medium": of_sd3(mmdit(2, None, False)),
    "SD3.5-medium": of_sd3(mmdit(2, "rms", True)),
    "SD3.5-large": of_sd3(mmdit(2, "rms", False)),
}
