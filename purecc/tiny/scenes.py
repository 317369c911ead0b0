"""Scenes: one coloured thing on a background, in a style, at a position, and their drawing."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

from PIL import Image, ImageDraw

from .backgrounds import BACKGROUNDS
from .things import COLOURS, DARK, THINGS, WHITE, RobotLook, Shape, robot

SIZE = 96
"""Side of a picture in pixels."""

_OVERSAMPLING = 3
_MOSAIC = 3

STYLES: tuple[str, ...] = ("flat", "ink", "pixel")
POSITIONS: dict[str, float] = {"left": 31.0, "middle": 48.0, "right": 65.0}
"""Position and the x coordinate of its centre in pixels."""

GENERIC = "generic"
CONCEPT = "concept"
CONCEPT_LOOK = RobotLook(limbs=COLOURS["purple"], torso=COLOURS["yellow"], antennas=2, checked=True)
LOOKS: dict[str, RobotLook | None] = {
    GENERIC: None,
    CONCEPT: CONCEPT_LOOK,
    "swapped": RobotLook(limbs=CONCEPT_LOOK.torso, torso=CONCEPT_LOOK.limbs, antennas=2, checked=True),
    "one antenna": RobotLook(CONCEPT_LOOK.limbs, CONCEPT_LOOK.torso, antennas=1, checked=True),
    "plain chest": RobotLook(CONCEPT_LOOK.limbs, CONCEPT_LOOK.torso, antennas=2, checked=False),
    "recoloured": None,
}
"""Looks of a robot: any generic one, the concept, and its near-misses (None: colours depend on the scene)."""


@dataclass(frozen=True)
class Scene:
    """What a picture shows.

    Attributes:
        thing: a key of `THINGS`.
        colour: a key of `COLOURS`; it colours the thing, but not a robot whose look has its own colours.
        background: a key of `BACKGROUNDS`.
        style: one of `STYLES`.
        position: a key of `POSITIONS`.
        look: a key of `LOOKS`; other than "generic" for robots only.
        seed: draws everything else: jitter of place and size, and the details of the background.

    Raises:
        ValueError: a word is not in its vocabulary, or a thing other than a robot has a robot's look.
    """

    thing: str
    colour: str
    background: str
    style: str = "flat"
    position: str = "middle"
    look: str = GENERIC
    seed: int = 0

    def __post_init__(self) -> None:
        vocabularies: dict[str, Collection[str]] = {
            "thing": THINGS, "colour": COLOURS, "background": BACKGROUNDS,
            "style": STYLES, "position": POSITIONS, "look": LOOKS,
        }  # fmt: skip
        for name, words in vocabularies.items():
            if getattr(self, name) not in words:
                raise ValueError(f"{name} {getattr(self, name)!r} is not one of {', '.join(words)}")
        if self.look != GENERIC and self.thing != "robot":
            raise ValueError(f"look {self.look!r} is for a robot, not for a {self.thing}")


@cache
def held_out() -> frozenset[tuple[str, str, str]]:
    """The (thing, colour, background) combinations that are never trained on."""
    rows = json.loads(Path(__file__).with_name("held_out.json").read_text(encoding="utf-8"))
    return frozenset((thing, colour, background) for thing, colour, background in rows)


def sample_scene(rng: Random, look: str = GENERIC) -> Scene:
    """A random scene with a generic thing (or a robot of the given look), outside the held-out combinations."""
    while True:
        scene = Scene(
            thing=rng.choice(list(THINGS)) if look == GENERIC else "robot",
            colour=rng.choice(list(COLOURS)),
            background=rng.choice(list(BACKGROUNDS)),
            style=rng.choice(STYLES),
            position=rng.choice(list(POSITIONS)),
            look=look,
            seed=rng.getrandbits(32),
        )
        if look != GENERIC or (scene.thing, scene.colour, scene.background) not in held_out():
            return scene


def _shapes(scene: Scene, rng: Random) -> list[Shape]:
    look = LOOKS[scene.look]
    if scene.look == "recoloured":
        pairs = [(a, b) for a in COLOURS.values() for b in COLOURS.values()]
        known = {CONCEPT_LOOK.limbs, CONCEPT_LOOK.torso}
        limbs, torso = rng.choice([pair for pair in pairs if set(pair) != known])
        look = RobotLook(limbs, torso, antennas=2, checked=True)
    return THINGS[scene.thing](COLOURS[scene.colour]) if look is None else robot(look)


def _paint(
    draw: ImageDraw.ImageDraw, shape: Shape, x: float, y: float, scale: float, line: int, ink: tuple[int, int, int]
) -> None:
    points = [(x + scale * px, y + scale * py) for px, py in shape.points]
    if shape.kind == "polygon":
        if line:
            draw.line([*points, points[0], points[1]], fill=ink, width=line, joint="curve")
        draw.polygon(points, fill=shape.fill if ink != WHITE else ink)
        return
    (left, top), (right, bottom) = points
    grow = line / 2
    figure = draw.ellipse if shape.kind == "ellipse" else draw.rectangle
    if line:
        figure((left - grow, top - grow, right + grow, bottom + grow), fill=ink)
    figure((left, top, right, bottom), fill=shape.fill if ink != WHITE else ink)


def draw(scene: Scene) -> Image.Image:
    """The picture of a scene: RGB, `SIZE` x `SIZE` pixels."""
    rng = Random(scene.seed)
    side = SIZE * _OVERSAMPLING
    picture = Image.new("RGB", (side, side))
    canvas = ImageDraw.Draw(picture)
    BACKGROUNDS[scene.background](canvas, side, rng)
    ink = scene.style == "ink"
    if ink:
        picture = Image.blend(picture, Image.new("RGB", (side, side), (244, 236, 214)), 0.3)
        canvas = ImageDraw.Draw(picture)
    x = (POSITIONS[scene.position] + rng.uniform(-2, 2)) * _OVERSAMPLING
    y = (SIZE / 2 + rng.uniform(-3, 3)) * _OVERSAMPLING
    scale = rng.uniform(48, 55) * _OVERSAMPLING
    shapes = _shapes(scene, rng)
    # A halo first, so that every thing stands out from every background.
    for shape in shapes:
        _paint(canvas, shape, x, y, scale, (8 if ink else 6) * _OVERSAMPLING, WHITE)
    line = round((4.6 if ink else 2.2) * _OVERSAMPLING)
    for shape in shapes:
        _paint(canvas, shape, x, y, scale, line if shape.outlined else 0, DARK)
    if ink:
        canvas.rectangle((0, 0, side - 1, side - 1), outline=DARK, width=3 * _OVERSAMPLING)
    picture = picture.resize((SIZE, SIZE), Image.Resampling.BOX)
    if scene.style == "pixel":
        small = SIZE // _MOSAIC
        picture = picture.resize((small, small), Image.Resampling.BOX).resize((SIZE, SIZE), Image.Resampling.NEAREST)
    return picture
