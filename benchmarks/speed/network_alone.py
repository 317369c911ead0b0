"""Shapes of other kinds of model at their true widths, of which the checkpoint has the network alone.

A step runs neither text encoders nor an autoencoder where the token is frozen. So a stand-in gives every prompt its own
random rows, and another gives every image random latents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.sd
import comfy.supported_models as supported
import torch
from genuine.clip import Clip
from genuine.flux import FLUX as FLUX_SHAPE
from genuine.recipe import pooled, text
from genuine.stable_diffusion import UNET
from torch import Tensor

from purecc_pack.purecc.host.families import flux, unet
from speed.kind import Models


class RandomLatents:
    """A VAE that gives every image its own random latents."""

    first_stage_model = None

    def __init__(self, channels: int):
        self._channels = channels

    def encode(self, image: Tensor) -> Tensor:
        """Return latents [1, C, H / 8, W / 8] of an image [1, H, W, 3]."""
        generator = torch.Generator().manual_seed(int(image.double().sum() * 1e3))
        return torch.randn(1, self._channels, *(side // 8 for side in image.shape[1:3]), generator=generator)


@dataclass(frozen=True, eq=False)
class NetworkAlone:
    """A kind of model.

    Attributes:
        name: in the results.
        family: that the trainer takes it for.
        config: the host's class of its configuration.
        unet: the configuration.
        channels: of a latent, whose side is an eighth of the image's.
        cond: the conditioning of one prompt.
        dtype: of weights and activations.
        pixels: sides of the images.
        pool: images that the base model generates for anchored learning.
    """

    name: str
    family: Any
    config: type
    unet: Mapping[str, Any]
    channels: int
    cond: Mapping[str, Any]
    dtype: torch.dtype = torch.bfloat16
    pixels: tuple[int, ...] = (512,)
    pool: int = 48

    def load(self, path: Path) -> Models:
        """Load the network's file by the host's own loader; with stand-ins for CLIP and VAE."""
        with torch.inference_mode():
            model = comfy.sd.load_diffusion_model(str(path), model_options={"dtype": self.dtype})
        return Models(model, Clip(dict(self.cond)), RandomLatents(self.channels))

    def weights(self) -> Mapping[str, Tensor]:
        """Return every weight of the network by name, on the meta device."""
        return self.network().state_dict()

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


SDXL = NetworkAlone(
    "SDXL",
    unet.SDXL,
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
FLUX_PART = NetworkAlone(
    "Flux.1, 4 of 19 double and 8 of 38 single blocks",
    flux.FLUX,
    supported.Flux,
    {
        **FLUX_SHAPE,
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
