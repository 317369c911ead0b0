"""Shapes of other kinds of model at their true widths, built by the host's own classes with random weights.

A step runs neither text encoders nor an autoencoder where the token is frozen. So a stand-in gives every prompt its own
random rows, and references are random latents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import comfy.sd
import comfy.supported_models as supported
import torch
from genuine.clip import Clip
from genuine.flux import FLUX
from genuine.recipe import pooled, text
from genuine.stable_diffusion import UNET
from torch import Tensor

from purecc_pack.purecc.text.concept import Concept
from purecc_pack.purecc.text.texts import parse_caption
from purecc_pack.purecc.training.dataset import ConceptDataset, ConceptItem


class Models(NamedTuple):
    """MODEL, CLIP and VAE, as the stock checkpoint loader gives them."""

    model: Any
    clip: Any
    vae: Any


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of model.

    Attributes:
        name: in the results.
        config: the host's class of its configuration.
        unet: the configuration.
        channels: of a latent, whose side is an eighth of the image's.
        cond: the conditioning of one prompt.
        dtype: of weights and activations.
        pixels: sides of the images.
        pool: images that the base model generates for anchored learning.
    """

    name: str
    config: type
    unet: Mapping[str, Any]
    channels: int
    cond: Mapping[str, Any]
    dtype: torch.dtype = torch.bfloat16
    pixels: tuple[int, ...] = (512,)
    pool: int = 48

    def load(self, path: Path) -> Models:
        """Load the network's file by the host's own loader; with a stand-in for CLIP, and no VAE."""
        with torch.inference_mode():
            model = comfy.sd.load_diffusion_model(str(path), model_options={"dtype": self.dtype})
        return Models(model, Clip(dict(self.cond)), None)

    def network(self) -> Any:
        """Return the network on the meta device, its weights unset."""
        config = self.config(dict(self.unet))
        config.set_inference_dtype(self.dtype, None)
        with torch.device("meta"):
            return config.get_model({}, "").diffusion_model.requires_grad_(False)

    def inputs(self, samples: int, pixels: int) -> dict[str, Tensor]:
        """Return what a pass through the network takes, on the meta device."""

        def empty(*shape: int) -> Tensor:
            return torch.empty(samples, *shape, device="meta", dtype=self.dtype)

        given = {"x": empty(self.channels, pixels // 8, pixels // 8), "timesteps": torch.empty(samples, device="meta")}
        if "guidance" in self.cond:
            given |= {"timestep": given.pop("timesteps"), "guidance": torch.empty(samples, device="meta")}
        vector = self.unet.get("adm_in_channels") or self.unet["vec_in_dim"]
        return given | {"context": empty(*self.cond["cross_attn"].shape[1:]), "y": empty(vector)}

    def dataset(self, pixels: int, captions: tuple[str, ...], concept: Concept) -> ConceptDataset:
        """Return random references; the concept is in the left half of each."""
        generator, side = torch.Generator().manual_seed(pixels), pixels // 8
        mask = (torch.arange(side) < side // 2).float().expand(1, 1, side, side)
        items = (
            ConceptItem(
                torch.randn(1, self.channels, side, side, generator=generator),
                parse_caption(caption, concept.class_word),
                torch.zeros(pixels, pixels, 3),
                mask,
            )
            for caption in captions
        )
        return ConceptDataset(tuple(items), concept)


SDXL = Kind(
    "SDXL",
    supported.SDXL,
    {
        **UNET,
        "num_classes": "sequential",
        "adm_in_channels": 2816,
        "model_channels": 320,
        "num_res_blocks": [2, 2, 2],
        "channel_mult": [1, 2, 4],
        "transformer_depth": [0, 0, 2, 2, 10, 10],
        "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10],
        "transformer_depth_middle": 10,
        "use_linear_in_transformer": True,
        "num_head_channels": 64,
        "context_dim": 2048,
    },
    4,
    {"cross_attn": text(77, 2048), "pooled_output": pooled(1280)},
)
FLUX_PART = Kind(
    "Flux.1, 4 of 19 double and 8 of 38 single blocks",
    supported.Flux,
    {
        **FLUX,
        "num_heads": 24,
        "hidden_size": 3072,
        "context_in_dim": 4096,
        "vec_in_dim": 768,
        "depth": 4,
        "depth_single_blocks": 8,
        "guidance_embed": True,
    },
    16,
    {"cross_attn": text(256, 4096), "pooled_output": pooled(768), "guidance": 3.5},
)
KINDS = {"sdxl": SDXL, "flux": FLUX_PART}
