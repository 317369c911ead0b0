"""The user's models, as one value."""

from __future__ import annotations

from dataclasses import dataclass

from comfy.model_patcher import ModelPatcher
from comfy.sd import CLIP, VAE


@dataclass(frozen=True)
class HostModels:
    """The models that a node is given. Nothing writes to them.

    Attributes:
        model: MODEL.
        clip: CLIP that belongs to it.
        vae: VAE that belongs to it, where there is one.
    """

    model: ModelPatcher
    clip: CLIP
    vae: VAE | None = None
