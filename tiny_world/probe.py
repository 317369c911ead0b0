"""Read what an image shows with the probe, a small classifier trained on renders alone.

It reads VAE latents, so pictures that were just drawn need not be decoded to be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from .backgrounds import BACKGROUNDS
from .individuals import GENERIC, LOOKS
from .scenes import POSITIONS, SIZE, Scene, segment
from .styles import ALL_STYLES
from .things import COLOURS, THINGS

WEIGHTS = Path(__file__).with_name("weights") / "probe.safetensors"
NOTHING = "nothing"

HEADS: dict[str, tuple[str, ...]] = {
    "thing": tuple(THINGS),
    "colour": tuple(COLOURS),
    "background": tuple(BACKGROUNDS),
    "style": tuple(ALL_STYLES),
    "position": tuple(POSITIONS),
    "look": LOOKS,
    "companion": (NOTHING, *THINGS),
    "companion_colour": (NOTHING, *COLOURS),
}
"""What the probe reads, and the answers it may give.

"look" is the individual of that thing, a near-miss of it, or a generic thing. The colour of a thing that is not generic
is undefined, and the answer without meaning.
"""

REGIONS: tuple[str, ...] = (*BACKGROUNDS, *THINGS)
"""What a place of a picture may show, for segmentation."""

GRID = SIZE // 8
"""Side of the latents, and of the segmentation."""


def answers(scene: Scene) -> dict[str, str]:
    """Return the true answer of every head."""
    return {
        "thing": scene.thing, "colour": scene.colour, "background": scene.background, "style": scene.style,
        "position": scene.position, "look": scene.look,
        "companion": scene.companion or NOTHING, "companion_colour": scene.companion_colour or NOTHING,
    }  # fmt: skip


def order(scene: Scene) -> Scene:
    """Order a scene so that its answers are unique: of two things an individual comes first, else the left one.

    Which of two generic things is the thing and which the companion cannot be seen.
    """
    if not scene.companion or scene.look != GENERIC or scene.position == "left":
        return scene
    return Scene(
        scene.companion, scene.companion_colour, scene.background, scene.style, "left", scene.look, scene.seed,
        scene.thing, scene.colour,
    )  # fmt: skip


def regions(scene: Scene) -> Tensor:
    """Return the true segmentation: index into `REGIONS` of what fills most of each cell, [GRID, GRID]."""
    words = [scene.background, scene.thing, scene.companion or scene.thing]
    numbers = np.array([REGIONS.index(word) for word in words])
    cells = segment(scene).reshape(GRID, 8, GRID, 8).swapaxes(1, 2).reshape(GRID, GRID, 64)
    counts = np.stack([(cells == k).sum(-1) for k in range(3)], -1)
    return torch.from_numpy(numbers[counts.argmax(-1)])


@dataclass(frozen=True)
class Reading:
    """Readings of N images.

    Attributes:
        words: the answer of every head, a word a picture.
        regions: index into `REGIONS`, [N, GRID, GRID].
        features: [N, 128], of unit length; what the heads read. Distances between them say how alike two pictures are.
    """

    words: dict[str, list[str]]
    regions: Tensor
    features: Tensor


def _layer(n_in: int, n_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU())


class Probe(nn.Module):
    """Convolutions on latents, a segmentation from the third, a grid of 3 x 3 means, a linear head per question."""

    def __init__(self) -> None:
        super().__init__()
        self.early = nn.Sequential(_layer(16, 64), _layer(64, 96), _layer(96, 96))
        self.where = nn.Sequential(_layer(96, 64), nn.Conv2d(64, len(REGIONS), 1))
        self.late = nn.Sequential(_layer(96, 128, 2), _layer(128, 128), nn.AdaptiveAvgPool2d(3), nn.Flatten())
        self.hidden = nn.Sequential(nn.Linear(9 * 128, 128), nn.ReLU())
        self.heads = nn.ModuleDict({name: nn.Linear(128, len(words)) for name, words in HEADS.items()})

    @classmethod
    def load(cls, path: Path = WEIGHTS) -> Probe:
        """Load the trained probe.

        Raises:
            FileNotFoundError: the weights are not there.
        """
        if not path.is_file():
            raise FileNotFoundError(f"The weights of the probe are missing: {path}.")
        probe = cls()
        probe.load_state_dict({name: tensor.float() for name, tensor in load_file(path).items()}, strict=False)
        return probe.eval().requires_grad_(False)

    def save(self, path: Path = WEIGHTS) -> None:
        """Write the weights in float16."""
        tensors = {name: t.half().contiguous() for name, t in self.state_dict().items() if t.is_floating_point()}
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, path)

    def forward(self, latents: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """VAE latents [B, 16, GRID, GRID] -> logits of heads [B, answers], of regions [B, R, GRID, GRID], features."""
        early = self.early(latents)
        hidden = self.hidden(self.late(early))
        return {name: head(hidden) for name, head in self.heads.items()}, self.where(early), hidden

    @torch.no_grad()
    def read(self, latents: Tensor) -> Reading:
        """Reads VAE latents [N, 16, GRID, GRID] of pictures of `SIZE` pixels."""
        logits: dict[str, list[Tensor]] = {name: [] for name in HEADS}
        where, features = [], []
        for chunk in latents.float().split(64):
            heads, places, hidden = self(chunk)
            for name, values in heads.items():
                logits[name].append(values)
            where.append(places.argmax(1))
            features.append(F.normalize(hidden, dim=1))
        best = {name: torch.cat(values).argmax(1) for name, values in logits.items()}
        return Reading(
            {name: [HEADS[name][i] for i in found.tolist()] for name, found in best.items()},
            torch.cat(where),
            torch.cat(features),
        )
