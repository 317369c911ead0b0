"""The probe: a small classifier, trained on renders only, that reads what a picture shows."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from .backgrounds import BACKGROUNDS
from .scenes import LOOKS, POSITIONS, STYLES, Scene
from .things import COLOURS, THINGS

WEIGHTS = Path(__file__).with_name("weights") / "probe.safetensors"
NO_ROBOT = "no robot"

HEADS: dict[str, tuple[str, ...]] = {
    "thing": tuple(THINGS),
    "colour": tuple(COLOURS),
    "background": tuple(BACKGROUNDS),
    "style": STYLES,
    "position": tuple(POSITIONS),
    "look": (NO_ROBOT, *LOOKS),
}
"""What the probe reads, and the answers it may give.

"look" is the concept, a near-miss of it, a generic robot or no robot. The colour of a robot that is not generic is
undefined, and the answer without meaning.
"""


def answers(scene: Scene) -> dict[str, str]:
    """The true answer of every head."""
    return {
        "thing": scene.thing, "colour": scene.colour, "background": scene.background, "style": scene.style,
        "position": scene.position, "look": scene.look if scene.thing == "robot" else NO_ROBOT,
    }  # fmt: skip


def _layer(n_in: int, n_out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU())


class Probe(nn.Module):
    """Six convolutions, a grid of 3 x 3 means, a linear head per question."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 24, 48, 64, 96, 128, 128)
        strides = (2, 2, 1, 2, 1, 2)
        self.features = nn.Sequential(*(_layer(a, b, s) for a, b, s in zip(widths, widths[1:], strides, strict=False)))
        self.pool = nn.AdaptiveAvgPool2d(3)
        self.hidden = nn.Sequential(nn.Flatten(), nn.Linear(9 * widths[-1], 128), nn.ReLU())
        self.heads = nn.ModuleDict({name: nn.Linear(128, len(words)) for name, words in HEADS.items()})

    @classmethod
    def load(cls, path: Path = WEIGHTS) -> Probe:
        """The trained probe.

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

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Images [B, H, W, 3] in 0..1 -> logits of every head [B, answers]."""
        hidden = self.hidden(self.pool(self.features(images.movedim(-1, 1) * 2 - 1)))
        return {name: head(hidden) for name, head in self.heads.items()}

    @torch.no_grad()
    def read(self, images: torch.Tensor) -> dict[str, list[str]]:
        """Images [B, H, W, 3] in 0..1, 96 x 96 -> the answer of every head, a word per picture."""
        logits: dict[str, list[torch.Tensor]] = {name: [] for name in HEADS}
        for chunk in images.split(64):
            for name, values in self(chunk).items():
                logits[name].append(values)
        return {name: [HEADS[name][i] for i in torch.cat(values).argmax(1).tolist()] for name, values in logits.items()}
