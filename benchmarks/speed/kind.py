"""What every kind of model that is measured can do."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor


class Models(NamedTuple):
    """MODEL, CLIP and VAE, as the stock checkpoint loader gives them."""

    model: Any
    clip: Any
    vae: Any


class Kind(Hashable, Protocol):
    """Shapes of a model's networks, built by the host's own classes and loaded by its own loaders."""

    @property
    def name(self) -> str:
        """What it is called in the results."""
        ...

    @property
    def channels(self) -> int:
        """Channels of a latent, whose side is an eighth of the image's."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Of weights and activations."""
        ...

    @property
    def pixels(self) -> tuple[int, ...]:
        """Sides of the images."""
        ...

    @property
    def pool(self) -> int:
        """Images that the base model generates for anchored learning."""
        ...

    @property
    def family(self) -> Any:
        """Return the family that the trainer takes it for."""
        ...

    def network(self) -> Any:
        """Return the denoising network on the meta device, its weights unset."""
        ...

    def inputs(self, samples: int, pixels: int) -> dict[str, Tensor]:
        """Return what a pass through the network takes, on the meta device."""
        ...

    def weights(self) -> Mapping[str, Tensor]:
        """Return every weight of the checkpoint by name, on the meta device."""
        ...

    def load(self, path: Path) -> Models:
        """Load the checkpoint by the host's own loader."""
        ...
