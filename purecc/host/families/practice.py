"""Describe what others publish on training a family: usual values, and the names that tools know it by."""

# SPDX-License-Identifier: GPL-3.0-or-later

from dataclasses import dataclass


@dataclass(frozen=True)
class Practice:
    """Usual values for a LoRA of a family. They were read in `source` and not measured here.

    Attributes:
        base_version: `ss_base_model_version` of kohya's metadata, by which LoRA managers tell families apart.
        source: where the values stand.
        resolution: side of a square training image, pixels.
        guidance: for samples: classifier-free guidance, or that of a distilled model.
        shift: of the noise schedule in training; None: the model's own.
        targets: group of layers, see `lora.TARGETS`.
        rank: of the LoRA; alpha is the same.
        rate: learning rate of the LoRA.
        steps: of a run, with batch 1; None: the source gives none but a short demonstration's.
        preferred: pattern of the names that other programs use, where ComfyUI knows several for a layer.
    """

    base_version: str
    source: str
    resolution: int = 1024
    guidance: float = 4.0
    shift: float | None = None
    targets: str = "attention and mlp"
    rank: int = 16
    rate: float = 1e-4
    steps: int | None = None
    preferred: str = ""
