"""The things of the drawn world: silhouettes as lists of shapes in a unit box.

Coordinates are x to the right and y downwards, about -0.5..0.5 around the centre of the thing; a thing is about one
unit high or wide. Shapes are painted in the order of the list.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

RGB = tuple[int, int, int]

COLOURS: dict[str, RGB] = {
    "red": (222, 40, 40),
    "orange": (247, 140, 20),
    "yellow": (250, 222, 40),
    "green": (40, 165, 60),
    "blue": (40, 90, 225),
    "purple": (135, 50, 185),
    "pink": (250, 130, 190),
    "white": (246, 246, 246),
}

DARK: RGB = (28, 26, 34)
WHITE: RGB = (255, 255, 255)
BROWN: RGB = (120, 78, 44)
GREY: RGB = (150, 152, 160)


@dataclass(frozen=True)
class Shape:
    """A filled outline: `kind` is "polygon" (any number of points), or "ellipse" or "box" (two corners)."""

    kind: str
    points: tuple[tuple[float, float], ...]
    fill: RGB
    outlined: bool = True


def polygon(fill: RGB, *points: tuple[float, float], outlined: bool = True) -> Shape:
    """Return a polygon through `points`."""
    return Shape("polygon", points, fill, outlined)


def ellipse(fill: RGB, x: float, y: float, rx: float, ry: float | None = None, outlined: bool = True) -> Shape:
    """Return an ellipse with centre (x, y) and radii (rx, ry)."""
    ry = rx if ry is None else ry
    return Shape("ellipse", ((x - rx, y - ry), (x + rx, y + ry)), fill, outlined)


def box(fill: RGB, left: float, top: float, right: float, bottom: float, outlined: bool = True) -> Shape:
    """Return an upright rectangle."""
    return Shape("box", ((left, top), (right, bottom)), fill, outlined)


def robot(limbs: RGB, torso: RGB, antennas: tuple[float, ...] = (0.0,)) -> list[Shape]:
    """A robot, one unit high, with an antenna at every x of `antennas`."""
    shapes: list[Shape] = []
    for x in antennas:
        lean = x * 0.6
        shapes += [
            polygon(
                DARK,
                (x - 0.02, -0.3),
                (x + 0.02, -0.3),
                (x + lean + 0.02, -0.44),
                (x + lean - 0.02, -0.44),
                outlined=False,
            ),
            ellipse(limbs, x + lean, -0.45, 0.065),
        ]
    shapes += [
        box(limbs, -0.38, -0.03, -0.24, 0.25),
        box(limbs, 0.24, -0.03, 0.38, 0.25),
        box(limbs, -0.2, 0.3, -0.05, 0.5),
        box(limbs, 0.05, 0.3, 0.2, 0.5),
        box(limbs, -0.25, -0.34, 0.25, -0.05),
        box(torso, -0.25, -0.05, 0.25, 0.34),
    ]
    for x in (-0.11, 0.11):
        shapes += [ellipse(WHITE, x, -0.21, 0.075, outlined=False), ellipse(DARK, x, -0.21, 0.035, outlined=False)]
    shapes.append(box(DARK, -0.1, -0.11, 0.1, -0.08, outlined=False))
    return shapes


def _generic_robot(c: RGB) -> list[Shape]:
    return robot(c, c)


def _car(c: RGB) -> list[Shape]:
    glass = (190, 225, 245)
    return [
        polygon(c, (-0.3, -0.02), (-0.2, -0.26), (0.16, -0.26), (0.32, -0.02)),
        polygon(c, (-0.56, -0.04), (0.56, -0.04), (0.58, 0.2), (-0.58, 0.2)),
        polygon(glass, (-0.2, -0.05), (-0.14, -0.2), (-0.02, -0.2), (-0.02, -0.05), outlined=False),
        polygon(glass, (0.04, -0.05), (0.04, -0.2), (0.13, -0.2), (0.21, -0.05), outlined=False),
        ellipse(DARK, -0.3, 0.21, 0.14),
        ellipse(DARK, 0.3, 0.21, 0.14),
        ellipse(GREY, -0.3, 0.21, 0.06, outlined=False),
        ellipse(GREY, 0.3, 0.21, 0.06, outlined=False),
    ]


def _house(c: RGB) -> list[Shape]:
    return [
        box(c, -0.4, -0.06, 0.4, 0.46),
        polygon(DARK, (-0.52, -0.06), (0.0, -0.5), (0.52, -0.06)),
        box(BROWN, 0.08, 0.14, 0.28, 0.46),
        box((255, 244, 180), -0.28, 0.1, -0.06, 0.3),
    ]


def _tree(c: RGB) -> list[Shape]:
    return [
        box(BROWN, -0.08, 0.12, 0.08, 0.52),
        ellipse(c, -0.2, 0.02, 0.22),
        ellipse(c, 0.2, 0.02, 0.22),
        ellipse(c, 0.0, -0.24, 0.26),
        ellipse(c, 0.0, -0.02, 0.24, outlined=False),
    ]


def _fish(c: RGB) -> list[Shape]:
    return [
        polygon(c, (0.2, 0.0), (0.56, -0.28), (0.48, 0.0), (0.56, 0.28)),
        polygon(c, (-0.1, -0.2), (0.06, -0.42), (0.18, -0.18)),
        ellipse(c, -0.12, 0.0, 0.42, 0.27),
        ellipse(WHITE, -0.32, -0.06, 0.07, outlined=False),
        ellipse(DARK, -0.33, -0.06, 0.035, outlined=False),
    ]


def _cup(c: RGB) -> list[Shape]:
    return [
        ellipse(c, 0.3, 0.02, 0.22, 0.22),
        ellipse(WHITE, 0.3, 0.02, 0.11, 0.11),
        polygon(c, (-0.38, -0.3), (0.28, -0.3), (0.2, 0.4), (-0.3, 0.4)),
        ellipse(BROWN, -0.05, -0.3, 0.33, 0.1),
    ]


def _star(c: RGB) -> list[Shape]:
    corners = []
    for i in range(10):
        angle, radius = math.pi * i / 5 - math.pi / 2, 0.54 if i % 2 == 0 else 0.23
        corners.append((radius * math.cos(angle), radius * math.sin(angle) + 0.03))
    return [polygon(c, *corners)]


def _heart(c: RGB) -> list[Shape]:
    outline = []
    for i in range(40):
        a = 2 * math.pi * i / 40
        x = 16 * math.sin(a) ** 3
        y = 13 * math.cos(a) - 5 * math.cos(2 * a) - 2 * math.cos(3 * a) - math.cos(4 * a)
        outline.append((x / 34, -y / 32 - 0.05))
    return [polygon(c, *outline)]


def _umbrella(c: RGB) -> list[Shape]:
    dome = [
        (0.54 * math.cos(math.pi * (1 + i / 16)), 0.02 + 0.46 * math.sin(math.pi * (1 + i / 16))) for i in range(17)
    ]
    hem = [(0.36, -0.07), (0.18, 0.02), (0.0, -0.07), (-0.18, 0.02), (-0.36, -0.07)]
    return [
        box(DARK, -0.03, -0.5, 0.03, 0.44, outlined=False),
        polygon(
            DARK,
            (-0.03, 0.36),
            (0.03, 0.36),
            (0.03, 0.5),
            (-0.2, 0.5),
            (-0.2, 0.4),
            (-0.14, 0.4),
            (-0.14, 0.44),
            (-0.03, 0.44),
        ),
        polygon(c, *dome, *hem),
    ]


def _boat(c: RGB) -> list[Shape]:
    return [
        box(BROWN, -0.04, -0.52, 0.04, 0.2),
        polygon(WHITE, (0.06, -0.48), (0.46, 0.08), (0.06, 0.08)),
        polygon(c, (-0.06, -0.36), (-0.4, 0.08), (-0.06, 0.08)),
        polygon(c, (-0.56, 0.14), (0.56, 0.14), (0.36, 0.42), (-0.36, 0.42)),
    ]


THINGS: dict[str, Callable[[RGB], list[Shape]]] = {
    "robot": _generic_robot,
    "car": _car,
    "house": _house,
    "tree": _tree,
    "fish": _fish,
    "cup": _cup,
    "star": _star,
    "heart": _heart,
    "umbrella": _umbrella,
    "boat": _boat,
}
