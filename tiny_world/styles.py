"""Styles: how a scene is finished, from its ground and its things on a transparent layer.

A finish is a function (ground, things, rng): RGB and RGBA pictures of one size -> RGB.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .things import DARK, RGB

Finish = Callable[[Image.Image, Image.Image, Random], Image.Image]

_MOSAIC = 3


@dataclass(frozen=True)
class Style:
    """A way of drawing.

    Attributes:
        finish: puts ground and things together.
        line: width of the outlines in pixels.
        halo: width of the white halo that sets a thing off from its ground, in pixels; 0: none.
    """

    finish: Finish
    line: float = 2.2
    halo: float = 6.0


def _together(ground: Image.Image, things: Image.Image) -> Image.Image:
    return Image.composite(things.convert("RGB"), ground, things.getchannel("A"))


def _floats(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture).astype(np.float32)


def _picture(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values.round().clip(0, 255).astype(np.uint8))


def _flat(ground: Image.Image, things: Image.Image, rng: Random) -> Image.Image:
    return _together(ground, things)


def _ink(ground: Image.Image, things: Image.Image, rng: Random) -> Image.Image:
    paper = Image.new("RGB", ground.size, (244, 236, 214))
    picture = _together(Image.blend(ground, paper, 0.3), things)
    side = ground.width
    ImageDraw.Draw(picture).rectangle((0, 0, side - 1, side - 1), outline=DARK, width=side // 32)
    return picture


def _pixel(ground: Image.Image, things: Image.Image, rng: Random) -> Image.Image:
    picture = _together(ground, things)
    small = (ground.width // _MOSAIC, ground.height // _MOSAIC)
    return picture.resize(small, Image.Resampling.BOX).resize(ground.size, Image.Resampling.NEAREST)


def _photo(ground: Image.Image, things: Image.Image, rng: Random) -> Image.Image:
    """A lamp from above left or right, shaded things with a soft shadow, a ground out of focus, grain."""
    side = ground.width
    ys, xs = np.mgrid[0:side, 0:side].astype(np.float32) / (side - 1)
    lamp = rng.choice((-1, 1)) * rng.uniform(0.6, 1.0)
    light = (1.12 - 0.5 * ys - 0.25 * lamp * (xs - 0.5))[..., None]
    alpha = things.getchannel("A")
    moved = Image.new("L", ground.size)
    moved.paste(alpha, (round(4 * lamp), 5))
    shadow = _floats(moved.filter(ImageFilter.GaussianBlur(3)))[..., None] / 255
    behind = _floats(ground.filter(ImageFilter.GaussianBlur(1.3))) * light * (1 - 0.55 * shadow)
    body = _floats(things.convert("RGB")) * (1.25 - 0.55 * ys - 0.35 * lamp * (xs - 0.5))[..., None]
    inside = _floats(alpha)[..., None] / 255
    grain = np.random.default_rng(rng.getrandbits(32)).normal(0, 4, (side, side, 1))
    return _picture(body * inside + behind * (1 - inside) + grain)


def _glass(lead: RGB, ground: Image.Image, things: Image.Image, rng: Random) -> Image.Image:
    """Stained glass: cells between leads, each half of one colour and half of what is behind it."""
    values, side, step = _floats(_together(ground, things)), ground.width, 19
    ys, xs = np.mgrid[0:side, 0:side].astype(np.float32)
    centres = np.array(
        [
            (x + rng.uniform(-5, 5), y + rng.uniform(-5, 5))
            for y in range(-step // 2, side + step, step)
            for x in range(-step // 2, side + step, step)
        ],
        np.float32,
    )
    distance = np.hypot(xs[..., None] - centres[:, 0], ys[..., None] - centres[:, 1])
    nearest = np.partition(distance, 1, axis=-1)
    cell = distance.argmin(-1)
    sums = np.stack([np.bincount(cell.ravel(), values[..., c].ravel(), len(centres)) for c in range(3)], -1)
    colours = sums / np.maximum(np.bincount(cell.ravel(), minlength=len(centres)), 1)[:, None]
    edge = (nearest[..., 1] - nearest[..., 0] < 3.4)[..., None]
    return _picture(np.where(edge, np.array(lead, np.float32), 0.5 * colours[cell] + 0.5 * values))


def _neon(night: RGB, ground: Image.Image, things: Image.Image, rng: Random) -> Image.Image:
    """Things as tubes of light, with a glow, before a ground at night."""
    alpha = things.getchannel("A")
    rim = _floats(alpha.filter(ImageFilter.MaxFilter(3))) - _floats(alpha.filter(ImageFilter.MinFilter(5)))
    tube = (rim / 255)[..., None]
    colour = _floats(things.convert("RGB").filter(ImageFilter.GaussianBlur(2)))
    colour = colour / np.maximum(colour.max(-1, keepdims=True), 40) * 255
    glow = _floats(_picture(colour * tube).filter(ImageFilter.GaussianBlur(3)))
    dark = np.array(night, np.float32) + 0.42 * _floats(ground)
    inside = (_floats(alpha) / 255)[..., None]
    body = dark * (1 - 0.7 * inside) + 0.45 * colour * inside
    return _picture(body * (1 - tube) + (0.6 * colour + 0.4 * 255) * tube + 1.2 * glow * (1 - tube))


def _chalk(board: RGB, ground: Image.Image, things: Image.Image, rng: Random) -> Image.Image:
    """Strokes of coloured chalk on a board."""
    side = ground.width
    noise = np.random.default_rng(rng.getrandbits(32)).random((side // 2, side // 2)).repeat(4, 0).repeat(4, 1)
    strokes = np.stack([noise[i : i + side, 2 * side - i - side : 2 * side - i] for i in range(18)]).mean(0)
    cover = ((strokes - 0.5) * 5 + 0.6).clip(0, 1)[..., None]
    inside = (_floats(things.getchannel("A")) / 255)[..., None]
    pastel = 0.65 * _floats(_together(ground, things)) + 0.35 * 255
    weight = cover * (0.6 + 0.35 * inside)
    return _picture(np.array(board, np.float32) * (1 - weight) + pastel * weight)


def _comic(dot: RGB, ground: Image.Image, things: Image.Image, rng: Random) -> Image.Image:
    """Few levels of colour under a screen of dots, which grow with darkness."""
    values, side, period = _floats(_together(ground, things)), ground.width, 24
    levels = (values / 85).round() * 85
    ys, xs = np.mgrid[0:side, 0:side].astype(np.float32)
    u, v = (xs + ys + rng.uniform(0, period)) % period, (xs - ys + rng.uniform(0, period)) % period
    radius = 10 * np.sqrt(1 - 0.75 * values.mean(-1) / 255)
    screen = (np.hypot(u - period / 2, v - period / 2) < radius * 0.8)[..., None]
    return _picture(np.where(screen, 0.4 * levels + 0.6 * np.array(dot, np.float32), levels))


STYLES: dict[str, Style] = {
    "flat": Style(_flat),
    "ink": Style(_ink, line=4.6, halo=8.0),
    "pixel": Style(_pixel),
    "photo": Style(_photo, line=0.6, halo=0.0),
}
"""The styles that the base model knows."""

NEW_STYLES: dict[str, Style] = {
    "glass": Style(partial(_glass, DARK), halo=0.0),
    "neon": Style(partial(_neon, (14, 8, 40)), halo=0.0),
    "chalk": Style(partial(_chalk, (36, 50, 44)), line=1.0, halo=0.0),
    "comic": Style(partial(_comic, (20, 20, 60)), line=3.0, halo=0.0),
}
"""Styles that it never saw, to be learned as concepts."""

NEAR_STYLES: dict[str, Style] = {
    "near glass": Style(partial(_glass, (250, 250, 250)), halo=0.0),
    "near neon": Style(partial(_neon, (196, 190, 214)), halo=0.0),
    "near chalk": Style(partial(_chalk, (36, 60, 140)), line=1.0, halo=0.0),
    "near comic": Style(partial(_comic, (250, 250, 250)), line=3.0, halo=0.0),
}
"""Near-misses of these: leads, night, board or dots of another colour."""

ALL_STYLES: dict[str, Style] = {**STYLES, **NEW_STYLES, **NEAR_STYLES}
