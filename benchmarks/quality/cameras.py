"""What a camera does to a drawn picture: perspective and distance, light, and a frame that cuts the thing off."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import numpy as np
from PIL import Image

from purecc_pack.tiny_world.scenes import SIZE

Camera = Callable[[Image.Image, np.ndarray, Random], Image.Image]
"""From a picture, where its thing is [SIZE, SIZE] and chance to the picture as it was taken."""


def perspective(picture: Image.Image, thing: np.ndarray, rng: Random) -> Image.Image:
    """Take it from nearer by and from one side: a part of the picture, its sides of unequal length, fills the frame."""
    rows, columns = np.nonzero(thing)
    left, right, top, bottom = columns.min(), columns.max() + 1, rows.min(), rows.max() + 1
    margin = rng.uniform(4, 12)
    side = min(SIZE, max(right - left, bottom - top) + 2 * margin)
    x = min(max(0.0, (left + right - side) / 2 + rng.uniform(-4, 4)), SIZE - side)
    y = min(max(0.0, (top + bottom - side) / 2 + rng.uniform(-4, 4)), SIZE - side)
    lean = [rng.uniform(0, 0.08) * side for _ in range(8)]
    corners = [
        *(x + lean[0], y + lean[1]), *(x + lean[2], y + side - lean[3]),
        *(x + side - lean[4], y + side - lean[5]), *(x + side - lean[6], y + lean[7]),
    ]  # fmt: skip
    return picture.transform((SIZE, SIZE), Image.Transform.QUAD, corners, Image.Resampling.BICUBIC)


def light(picture: Image.Image, thing: np.ndarray, rng: Random) -> Image.Image:
    """Light it from one side, warm or cold, and expose it a little too much or too little."""
    across, down = rng.uniform(-1, 1), rng.uniform(-1, 1)
    ramp = np.linspace(-0.5, 0.5, SIZE)
    shade = 1 + 0.6 * (across * ramp[None, :] + down * ramp[:, None])
    warm = rng.uniform(-0.12, 0.12)
    gains = np.array([1 + warm, 1.0, 1 - warm]) * rng.uniform(0.8, 1.15)
    lit = np.asarray(picture, float) / 255 * shade[..., None] * gains
    return Image.fromarray((255 * lit.clip(0, 1) ** rng.uniform(0.85, 1.2)).round().astype(np.uint8))


def frame(picture: Image.Image, thing: np.ndarray, rng: Random) -> Image.Image:
    """Take it from nearer by, so that the frame cuts off a tenth to a fifth of the thing at one side."""
    rows, columns = np.nonzero(thing)
    left, right, top, bottom = columns.min(), columns.max() + 1, rows.min(), rows.max() + 1
    lost = rng.uniform(0.1, 0.2) * (right - left)
    room = {"left": SIZE - left - lost, "right": right - lost}  # what can be shown with that side cut off
    cut = rng.choice([name for name, most in room.items() if most >= 0.6 * SIZE])
    side = min(rng.uniform(0.65, 0.75) * SIZE, room[cut])
    x = left + lost if cut == "left" else right - lost - side
    y = min(max(0.0, (top + bottom - side) / 2), SIZE - side)
    return picture.resize((SIZE, SIZE), Image.Resampling.BICUBIC, (x, y, x + side, y + side))


def taken(picture: Image.Image, thing: np.ndarray, cameras: tuple[Camera, ...], seed: int) -> Image.Image:
    """Return a picture as these took it, one after the other, by chance of a seed."""
    rng = Random(str(seed))  # of neighbouring numbers the first draws are alike
    for camera in cameras:
        picture = camera(picture, thing, rng)
    return picture
