"""Scenes: one or two coloured things on a background, in a style, at a position, and their drawing."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image, ImageDraw

from .backgrounds import BACKGROUNDS
from .individuals import GENERIC, INDIVIDUALS, LOOKS, individual
from .styles import ALL_STYLES, STYLES
from .things import COLOURS, DARK, THINGS, WHITE, Shape

SIZE = 96
"""Side of a picture in pixels."""

_OVERSAMPLING = 3

POSITIONS: dict[str, float] = {"left": 31.0, "middle": 48.0, "right": 65.0}
"""Position and the x coordinate of its centre in pixels, for a thing alone."""
PAIRED: dict[str, float] = {"left": 25.0, "right": 71.0}
"""The same for one of two things, which are smaller."""

WITH_COMPANION = 0.3
"""Fraction of the base model's training scenes that hold two things."""


@dataclass(frozen=True)
class Scene:
    """The contents of an image.

    Attributes:
        thing: a key of `THINGS`.
        colour: a key of `COLOURS`; it colours the thing, but not one whose look has its own colours.
        background: a key of `BACKGROUNDS`.
        style: a key of `ALL_STYLES`.
        position: a key of `POSITIONS`; with a companion, "left" or "right".
        look: one of `LOOKS`; other than "generic" for `INDIVIDUALS` only.
        seed: draws everything else: jitter of place and size, and the details of background and style.
        companion: a second, generic thing on the other side, a key of `THINGS`; or empty.
        companion_colour: its colour, a key of `COLOURS`; empty without one.

    Raises:
        ValueError: a word is not in its vocabulary, a thing of which there is no individual has the look of one, or a
            companion has no place.
    """

    thing: str
    colour: str
    background: str
    style: str = "flat"
    position: str = "middle"
    look: str = GENERIC
    seed: int = 0
    companion: str = ""
    companion_colour: str = ""

    def __post_init__(self) -> None:
        vocabularies: dict[str, Collection[str]] = {
            "thing": THINGS, "colour": COLOURS, "background": BACKGROUNDS,
            "style": ALL_STYLES, "position": POSITIONS, "look": LOOKS,
        }  # fmt: skip
        if self.companion or self.companion_colour:
            vocabularies |= {"companion": THINGS, "companion_colour": COLOURS, "position": PAIRED}
        for name, words in vocabularies.items():
            if getattr(self, name) not in words:
                raise ValueError(f"{name} {getattr(self, name)!r} is not one of {', '.join(words)}")
        if self.look != GENERIC and self.thing not in INDIVIDUALS:
            raise ValueError(f"look {self.look!r} is for {', '.join(INDIVIDUALS)}, not for a {self.thing}")


@cache
def held_out() -> frozenset[tuple[str, str, str]]:
    """Return the (thing, colour, background) combinations that are never trained on."""
    rows = json.loads(Path(__file__).with_name("held_out.json").read_text(encoding="utf-8"))
    return frozenset((thing, colour, background) for thing, colour, background in rows)


def _is_held_out(scene: Scene) -> bool:
    pairs = [(scene.thing, scene.colour), (scene.companion, scene.companion_colour)]
    return any((*pair, scene.background) in held_out() for pair in pairs)


def sample_scene(rng: Random, look: str = GENERIC) -> Scene:
    """Choose a random scene of the training distribution, outside the held-out combinations; or with an individual."""
    while True:
        paired = rng.random() < WITH_COMPANION
        scene = Scene(
            thing=rng.choice(list(THINGS) if look == GENERIC else INDIVIDUALS),
            colour=rng.choice(list(COLOURS)),
            background=rng.choice(list(BACKGROUNDS)),
            style=rng.choice(list(STYLES)),
            position=rng.choice(list(PAIRED if paired else POSITIONS)),
            look=look,
            seed=rng.getrandbits(32),
            companion=rng.choice(list(THINGS)) if paired else "",
            companion_colour=rng.choice(list(COLOURS)) if paired else "",
        )
        if look != GENERIC or not _is_held_out(scene):
            return scene


def _paint(
    canvas: ImageDraw.ImageDraw, shape: Shape, x: float, y: float, scale: float, line: int, ink: tuple[int, int, int]
) -> None:
    points = [(x + scale * px, y + scale * py) for px, py in shape.points]
    if shape.kind == "polygon":
        if line:
            canvas.line([*points, points[0], points[1]], fill=ink, width=line, joint="curve")
        canvas.polygon(points, fill=shape.fill if ink != WHITE else ink)
        return
    (left, top), (right, bottom) = points
    grow = line / 2
    figure = canvas.ellipse if shape.kind == "ellipse" else canvas.rectangle
    if line:
        figure((left - grow, top - grow, right + grow, bottom + grow), fill=ink)
    figure((left, top, right, bottom), fill=shape.fill if ink != WHITE else ink)


def _layers(scene: Scene) -> tuple[Image.Image, list[Image.Image], Random]:
    """Draw the background, and each thing on a transparent layer of its own, SIZE x SIZE."""
    rng = Random(scene.seed)
    side, style = SIZE * _OVERSAMPLING, ALL_STYLES[scene.style]
    ground = Image.new("RGB", (side, side))
    BACKGROUNDS[scene.background](ImageDraw.Draw(ground), side, rng)
    colour = COLOURS[scene.colour]
    shapes = THINGS[scene.thing](colour) if scene.look == GENERIC else individual(scene.thing, scene.look, rng)
    placed = [(shapes, scene.position)]
    if scene.companion:
        other = "right" if scene.position == "left" else "left"
        placed.append((THINGS[scene.companion](COLOURS[scene.companion_colour]), other))
    centres, sizes = (PAIRED, (36, 40)) if scene.companion else (POSITIONS, (48, 55))
    things = []
    for shapes, position in placed:
        layer = Image.new("RGBA", (side, side))
        canvas = ImageDraw.Draw(layer)
        x = (centres[position] + rng.uniform(-2, 2)) * _OVERSAMPLING
        y = (SIZE / 2 + rng.uniform(-3, 3)) * _OVERSAMPLING
        scale = rng.uniform(*sizes) * _OVERSAMPLING
        if style.halo:
            for shape in shapes:
                _paint(canvas, shape, x, y, scale, round(style.halo * _OVERSAMPLING), WHITE)
        line = round(style.line * _OVERSAMPLING)
        for shape in shapes:
            _paint(canvas, shape, x, y, scale, line if shape.outlined else 0, DARK)
        things.append(layer.resize((SIZE, SIZE), Image.Resampling.BOX))
    return ground.resize((SIZE, SIZE), Image.Resampling.BOX), things, rng


def draw(scene: Scene) -> Image.Image:
    """Draw a scene: RGB, `SIZE` x `SIZE` pixels."""
    ground, things, rng = _layers(scene)
    layer = things[0]
    for thing in things[1:]:
        layer = Image.alpha_composite(layer, thing)
    return ALL_STYLES[scene.style].finish(ground, layer, rng)


def segment(scene: Scene) -> np.ndarray:
    """Segment a scene: uint8 [SIZE, SIZE], 0 background, 1 thing, 2 companion; halos belong to things."""
    _, things, _ = _layers(scene)
    out = np.zeros((SIZE, SIZE), np.uint8)
    for number, thing in enumerate(things, start=1):
        out[np.asarray(thing.getchannel("A")) > 127] = number
    return out
