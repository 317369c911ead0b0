"""Draw batches of scenes as tensors, to train the autoencoder, the probe and the base model."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import numpy as np
import torch
from PIL import Image

from .individuals import CONCEPT, GENERIC, NEAR_MISSES
from .scenes import Scene, draw, sample_scene
from .styles import NEAR_STYLES, NEW_STYLES


def to_tensor(pictures: list[Image.Image]) -> torch.Tensor:
    """Convert images of one size to [B, H, W, 3], float32 in 0..1 (the host's IMAGE)."""
    return torch.from_numpy(np.stack([np.asarray(picture.convert("RGB")) for picture in pictures])).float() / 255


def render(scenes: list[Scene]) -> torch.Tensor:
    """Draw scenes, [B, H, W, 3], float32 in 0..1."""
    return to_tensor([draw(scene) for scene in scenes])


def any_scene(rng: Random) -> Scene:
    """Choose a scene of any kind for the probe: known, with an individual or a near-miss of one, or in a new style.

    An individual is never in a new style, because not every style shows its details.
    """
    while True:
        special = rng.random() < 0.5
        look = (CONCEPT if rng.random() < 0.4 else rng.choice(NEAR_MISSES)) if special else GENERIC
        scene = sample_scene(rng, look)
        new = rng.random() < 1 / 3
        if new:
            scene = replace(scene, style=rng.choice([*NEW_STYLES, *NEAR_STYLES]))
        if not (new and special):
            return scene


def pattern(rng: Random, size: int) -> torch.Tensor:
    """Draw a random pattern of no scene, [size, size, 3] in 0..1: checks, stripes, blobs or a gradient in any colours.

    It keeps the autoencoder general, so that it reconstructs images unlike the scenes too.
    """
    generator = torch.Generator().manual_seed(rng.getrandbits(48))
    colours = torch.rand(3, 3, generator=generator)
    ys, xs = torch.meshgrid(torch.arange(size).float(), torch.arange(size).float(), indexing="ij")
    period, angle = rng.uniform(2, 16), rng.uniform(0, math.pi)
    u = (xs * math.cos(angle) + ys * math.sin(angle)) / period + rng.random()
    v = (ys * math.cos(angle) - xs * math.sin(angle)) / period + rng.random()
    kind = rng.choice(("checks", "stripes", "blobs", "gradient"))
    if kind == "checks":
        index = (u.floor() + v.floor()).long() % 2
    elif kind == "stripes":
        index = u.floor().long() % 3
    elif kind == "blobs":
        cells = torch.randn(1, 1, rng.randint(3, 16), rng.randint(3, 16), generator=generator)
        field = torch.nn.functional.interpolate(cells, (size, size), mode="bicubic", align_corners=False)[0, 0]
        index = (field > 0).long() + (field > 0.8).long()
    else:
        ramp = (u / (u.abs().max() + 1e-6) + 1).clamp(0, 2)[..., None] / 2
        return colours[0] * ramp + colours[1] * (1 - ramp)
    return colours[index]


def _with_sticker(rng: Random, picture: torch.Tensor) -> torch.Tensor:
    """Put a small patch of a random pattern somewhere on an image."""
    size = picture.shape[0]
    side = rng.randint(8, 20)
    top, left = rng.randint(0, size - side), rng.randint(0, size - side)
    picture = picture.clone()
    picture[top : top + side, left : left + side] = pattern(rng, side)
    return picture


def crops(rng: Random, batch: int, size: int) -> torch.Tensor:
    """Return random crops: three in four of scenes without the concept, half of these with a sticker, one of patterns.

    Returns:
        [batch, 3, size, size] in -1..1.
    """
    out = []
    for i in range(batch):
        if i % 4 == 3:
            out.append(pattern(rng, size))
            continue
        picture = render([sample_scene(rng)])[0]
        top, left = rng.randint(0, picture.shape[0] - size), rng.randint(0, picture.shape[1] - size)
        picture = picture[top : top + size, left : left + size]
        out.append(_with_sticker(rng, picture) if rng.random() < 0.5 else picture)
    return torch.stack(out).movedim(-1, 1) * 2 - 1
