"""Individuals: for eight of the things, one in particular that the base model never saw, and its near-misses.

Every individual has two colours of its own and two details. A near-miss has the colours swapped, one detail missing, or
other colours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from .things import COLOURS, DARK, RGB, THINGS, WHITE, Shape, box, ellipse, polygon, robot

GENERIC = "generic"
CONCEPT = "concept"
NEAR_MISSES: tuple[str, ...] = ("swapped", "without first", "without second", "recoloured")
LOOKS: tuple[str, ...] = (GENERIC, CONCEPT, *NEAR_MISSES)
"""Looks of a thing: any generic one, the individual, and the individual's near-misses."""


@dataclass(frozen=True)
class _Look:
    main: RGB
    second: RGB
    first: bool = True
    last: bool = True


def _robot(look: _Look) -> list[Shape]:
    """Two antennas; a checked chest."""
    shapes = robot(look.main, look.second, (-0.15, 0.15) if look.first else (0.0,))
    if look.last:
        side = 0.1
        for row in range(3):
            for column in range(3):
                left, top = -0.15 + column * side, -0.005 + row * side
                fill = DARK if (row + column) % 2 == 0 else WHITE
                shapes.append(box(fill, left, top, left + side, top + side, outlined=False))
    return shapes


def _car(look: _Look) -> list[Shape]:
    """A box on the roof; a number plate on the door."""
    shapes = list(THINGS["car"](look.main))
    shapes[0] = polygon(look.second, *shapes[0].points)
    if look.first:
        shapes.insert(0, box(DARK, -0.24, -0.44, 0.18, -0.27))
    if look.last:
        shapes += [ellipse(WHITE, 0.0, 0.07, 0.12, outlined=False), ellipse(DARK, 0.0, 0.07, 0.06, outlined=False)]
    return shapes


def _house(look: _Look) -> list[Shape]:
    """A chimney; a large round window with a cross."""
    wall, roof, door, window = THINGS["house"](look.main)
    shapes = [wall, polygon(look.second, *roof.points), door, window]
    if look.first:
        shapes.insert(0, box(DARK, 0.2, -0.54, 0.38, -0.1))
    if look.last:
        shapes += [
            ellipse(WHITE, 0.0, -0.22, 0.14, outlined=False),
            box(DARK, -0.13, -0.245, 0.13, -0.195, outlined=False),
            box(DARK, -0.025, -0.35, 0.025, -0.09, outlined=False),
        ]
    return shapes


def _tree(look: _Look) -> list[Shape]:
    """A nesting box on the trunk; three white fruits."""
    trunk, left, _, top, centre = THINGS["tree"](look.main)
    shapes = [trunk, left, ellipse(look.second, 0.2, 0.02, 0.22), top, centre]
    if look.first:
        shapes += [box(WHITE, -0.15, 0.24, 0.15, 0.48), ellipse(DARK, 0.0, 0.36, 0.07, outlined=False)]
    if look.last:
        shapes += [ellipse(WHITE, x, y, 0.075, outlined=False) for x, y in ((-0.2, 0.02), (0.0, -0.26), (0.02, 0.02))]
    return shapes


def _fish(look: _Look) -> list[Shape]:
    """A horn; two dark stripes."""
    tail, fin, body, *eye = THINGS["fish"](look.main)
    shapes = [polygon(look.second, *tail.points), polygon(look.second, *fin.points), body, *eye]
    if look.first:
        shapes.insert(0, polygon(DARK, (-0.46, -0.12), (-0.28, -0.22), (-0.5, -0.46)))
    if look.last:
        shapes += [box(DARK, x, -0.2, x + 0.08, 0.2, outlined=False) for x in (-0.14, 0.04)]
    return shapes


def _cup(look: _Look) -> list[Shape]:
    """A straw; a white band with a dark spot."""
    _, hole, body, coffee = THINGS["cup"](look.main)
    shapes = [ellipse(look.second, 0.3, 0.02, 0.22, 0.22), hole, body, coffee]
    if look.first:
        shapes.append(polygon(WHITE, (-0.06, -0.3), (0.04, -0.3), (0.26, -0.56), (0.14, -0.56)))
    if look.last:
        shapes += [
            polygon(WHITE, (-0.35, -0.06), (0.24, -0.06), (0.21, 0.16), (-0.33, 0.16), outlined=False),
            ellipse(DARK, -0.05, 0.05, 0.09, outlined=False),
        ]
    return shapes


def _umbrella(look: _Look) -> list[Shape]:
    """A knob on top; three white spots."""
    shapes = list(THINGS["umbrella"](look.main))
    middle = [(-0.18, 0.02), (-0.14, -0.3), (0.0, -0.44), (0.14, -0.3), (0.18, 0.02), (0.0, -0.07)]
    shapes.append(polygon(look.second, *middle, outlined=False))
    if look.first:
        shapes.append(ellipse(DARK, 0.0, -0.5, 0.11))
    if look.last:
        shapes += [ellipse(WHITE, x, y, 0.07, outlined=False) for x, y in ((-0.33, -0.16), (0.0, -0.22), (0.33, -0.16))]
    return shapes


def _boat(look: _Look) -> list[Shape]:
    """A flag; three portholes."""
    mast, sail, jib, hull = THINGS["boat"](look.main)
    shapes = [mast, polygon(look.second, *sail.points), jib, hull]
    if look.first:
        shapes.append(polygon(DARK, (-0.04, -0.56), (-0.34, -0.47), (-0.04, -0.38)))
    if look.last:
        shapes += [ellipse(WHITE, x, 0.27, 0.08, outlined=False) for x in (-0.24, 0.0, 0.24)]
    return shapes


_INDIVIDUALS: dict[str, tuple[str, str, Callable[[_Look], list[Shape]]]] = {
    "robot": ("purple", "yellow", _robot),
    "car": ("pink", "blue", _car),
    "house": ("yellow", "purple", _house),
    "tree": ("orange", "green", _tree),
    "fish": ("blue", "yellow", _fish),
    "cup": ("green", "pink", _cup),
    "umbrella": ("purple", "orange", _umbrella),
    "boat": ("red", "blue", _boat),
}

INDIVIDUALS: tuple[str, ...] = tuple(_INDIVIDUALS)
"""The things of which there is an individual."""


def own_colours(thing: str) -> tuple[str, str]:
    """Names of the two colours of an individual."""
    main, second, _ = _INDIVIDUALS[thing]
    return main, second


def individual(thing: str, look: str, rng: Random) -> list[Shape]:
    """Return the shapes of an individual or a near-miss of it; `rng` chooses the colours of a recoloured one."""
    main, second, shapes = _INDIVIDUALS[thing]
    if look == "swapped":
        main, second = second, main
    elif look == "recoloured":
        known = {main, second}
        main, second = rng.choice([(a, b) for a in COLOURS for b in COLOURS if a != b and {a, b} != known])
    return shapes(_Look(COLOURS[main], COLOURS[second], look != "without first", look != "without second"))
