"""What a contestant is given."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from speed.kind import Kind


class Shape(NamedTuple):
    """Side of the images and samples a step; steps of warm-up, at least one, and steps that are timed."""

    pixels: int
    batch: int
    warmup: int = 1
    timed: int = 2


class Setup(NamedTuple):
    """What a contestant is given.

    Attributes:
        kind: of model.
        device: where it computes.
        folder: of the checkpoint.
        prepare: whether masks and pool of anchored learning are made as for a user, or random ones stand in.
        whole_steps: steps of each stage of a whole run.
    """

    kind: Kind
    device: torch.device
    folder: Path
    prepare: bool = False
    whole_steps: int = 400
