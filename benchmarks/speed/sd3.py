"""Shapes of Stable Diffusion 3.5 Medium, and small shapes for the tests."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import comfy.ops
import comfy.sd
import torch
from comfy.ldm.models.autoencoder import AutoencodingEngine
from comfy.ldm.modules.diffusionmodules.mmdit import OpenAISignatureMMDITWrapper
from comfy.sd1_clip import SDClipModel
from comfy.sdxl_clip import SDXLClipG
from comfy.taesd.taesd import TAESD
from comfy.text_encoders.sd3_clip import T5XXLModel
from torch import Tensor, nn

from purecc_pack.purecc.host.families.sd3 import SD3
from speed.kind import Models


class Encoder(NamedTuple):
    """Shape of a text encoder."""

    width: int
    layers: int
    heads: int
    inner: int
    vocabulary: int


class Encoders(NamedTuple):
    """The three text encoders of Stable Diffusion 3."""

    clip_l: Encoder
    clip_g: Encoder
    t5xxl: Encoder


@dataclass(frozen=True)
class StableDiffusion3:
    """Shapes of every network.

    Attributes:
        name: in the results.
        depth: joint blocks; the width is 64 times the depth, and there are as many heads as blocks.
        second_attention: number of blocks, from the first, that have a second attention.
        position_side: side of the square of position embeddings, in patches.
        encoders: text encoders of the released step.
        host_encoders: names of those in the host's checkpoint; the host's CLIP-G cannot be small.
        vae_width: width of the first layer of the autoencoder; below 128 the host has TAESD instead.
        dtype: of weights and activations.
        pixels: sides of the images.
        pool: images that the base model generates for anchored learning.
        left_out: layers of T5 that the true size has besides.
    """

    name: str
    depth: int
    second_attention: int
    position_side: int
    encoders: Encoders
    host_encoders: tuple[str, ...]
    vae_width: int
    dtype: torch.dtype
    pixels: tuple[int, ...]
    pool: int
    left_out: int = 0

    @property
    def channels(self) -> int:
        """Channels of a latent."""
        return 16

    @property
    def hidden(self) -> int:
        """Width of the transformer."""
        return 64 * self.depth

    @property
    def pooled(self) -> int:
        """Width of the host's pooled text; without CLIP-G its part is zeros."""
        return self.encoders.clip_l.width + 1280

    @property
    def text_rows(self) -> int:
        """Rows of the host's text for a short prompt: 77 for the CLIPs, 77 for T5."""
        return 154 if "t5xxl" in self.host_encoders else 77

    @property
    def family(self) -> Any:
        """Stable Diffusion 3's."""
        return SD3

    def network(self) -> Any:
        """Return the MMDiT-X on the meta device, its weights unset."""
        embedder = {"target": "torch.nn.Linear", "params": {"in_features": 4096, "out_features": self.hidden}}
        shape = {"depth": self.depth, "in_channels": self.channels, "adm_in_channels": self.pooled, "qk_norm": "rms"}
        shape |= {"num_patches": self.position_side**2, "pos_embed_max_size": self.position_side, "input_size": None}
        shape |= {"x_block_self_attn_layers": list(range(self.second_attention)), "context_embedder_config": embedder}
        options = {"dtype": self.dtype, "device": "meta", "operations": comfy.ops.disable_weight_init}
        return OpenAISignatureMMDITWrapper(**shape, **options).requires_grad_(False)

    def inputs(self, samples: int, pixels: int) -> dict[str, Tensor]:
        """Return what a pass through the network takes, on the meta device."""
        empty = functools.partial(torch.empty, device="meta", dtype=self.dtype)
        x, t = empty(samples, self.channels, pixels // 8, pixels // 8), torch.empty(samples, device="meta")
        text = {"context": empty(samples, self.text_rows, 4096), "y": empty(samples, self.pooled)}
        return {"x": x, "timesteps": t, **text}

    def weights(self) -> dict[str, Tensor]:
        """Return every weight of the checkpoint by name, on the meta device."""
        build = {"clip_l": SDClipModel, "clip_g": SDXLClipG, "t5xxl": T5XXLModel}
        options = self.encoder_options
        parts = {"model.diffusion_model.": self.network(), "first_stage_model.": self._autoencoder()}
        for name in self.host_encoders:
            encoder = build[name](device="meta", model_options=options)
            parts[f"text_encoders.{name}.transformer."] = encoder.transformer
        return {prefix + k: w for prefix, module in parts.items() for k, w in module.state_dict().items()}

    def load(self, path: Path) -> Models:
        """Load the checkpoint by the host's own loader, the transformer's weights in `dtype`.

        By itself the host takes float16 on a GPU, and its trainer would then cast every weight in every pass.
        """
        options = {"model_options": {"dtype": self.dtype}, "te_model_options": self.encoder_options}
        with torch.inference_mode():
            return Models(*comfy.sd.load_checkpoint_guess_config(str(path), **options)[:3])

    @property
    def encoder_options(self) -> dict[str, dict[str, int]]:
        """Return the host's options that give its encoders these shapes."""
        names = {name: f"{name}_model_config" for name in self.host_encoders}
        keys = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
        options = {names[n]: dict(zip(keys, getattr(self.encoders, n)[:4], strict=True)) for n in names if n != "t5xxl"}
        if "t5xxl" in names:
            options[names["t5xxl"]] = {"num_layers": self.encoders.t5xxl.layers}
        return options

    def _autoencoder(self) -> nn.Module:
        part = "comfy.ldm.modules.diffusionmodules.model."
        shape: dict[str, Any] = {
            "double_z": True,
            "z_channels": 16,
            "resolution": 256,
            "in_channels": 3,
            "out_ch": 3,
            "ch": 128,
        }
        shape |= {"ch_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_resolutions": [], "dropout": 0.0}
        with torch.device("meta"):
            if self.vae_width < 128:
                return TAESD(latent_channels=16)
            return AutoencodingEngine(
                regularizer_config={"target": "comfy.ldm.models.autoencoder.DiagonalGaussianRegularizer"},
                encoder_config={"target": f"{part}Encoder", "params": shape},
                decoder_config={"target": f"{part}Decoder", "params": shape},
            )


MEDIUM = StableDiffusion3(
    name="SD3.5 Medium",
    depth=24,
    second_attention=13,
    position_side=384,
    encoders=Encoders(
        clip_l=Encoder(768, 12, 12, 3072, 49408),
        clip_g=Encoder(1280, 32, 20, 5120, 49408),
        t5xxl=Encoder(4096, 24, 64, 10240, 32128),
    ),
    host_encoders=("clip_l", "clip_g", "t5xxl"),
    vae_width=128,
    dtype=torch.bfloat16,
    pixels=(512, 1024),
    pool=48,
)

SHORT_T5 = replace(
    MEDIUM,
    name="SD3.5 Medium, T5 of one layer",
    encoders=MEDIUM.encoders._replace(t5xxl=MEDIUM.encoders.t5xxl._replace(layers=1)),
    left_out=MEDIUM.encoders.t5xxl.layers - 1,
)
"""The same shapes in less memory, for a CPU. No step of ours runs T5; what the released step lacks is timed apart."""

SMALL = StableDiffusion3(
    name="small",
    depth=2,
    second_attention=1,
    position_side=16,
    encoders=Encoders(
        clip_l=Encoder(64, 3, 2, 128, 49408),
        clip_g=Encoder(32, 3, 2, 64, 1000),
        t5xxl=Encoder(128, 2, 2, 256, 1000),
    ),
    host_encoders=("clip_l",),
    vae_width=8,
    dtype=torch.float32,
    pixels=(64, 128),
    pool=2,
)
