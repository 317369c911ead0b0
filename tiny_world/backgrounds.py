"""The backgrounds of the drawn world: functions (draw, size, rng) that fill a whole square picture of `size` pixels."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

from PIL import ImageDraw

Painter = Callable[[ImageDraw.ImageDraw, int, Random], None]


def _fill(draw: ImageDraw.ImageDraw, size: int, colour: tuple[int, int, int]) -> None:
    draw.rectangle((0, 0, size, size), fill=colour)


def _red_stripes(draw: ImageDraw.ImageDraw, size: int, rng: Random) -> None:
    _fill(draw, size, (250, 240, 236))
    period = size / 6
    start = rng.uniform(-period, 0)
    for i in range(8):
        left = start + i * period
        draw.rectangle((left, 0, left + period / 2, size), fill=(214, 60, 60))


def _blue_dots(draw: ImageDraw.ImageDraw, size: int, rng: Random) -> None:
    _fill(draw, size, (226, 238, 252))
    step, radius = size / 6, size / 17
    dx, dy = rng.uniform(-step, 0), rng.uniform(-step, 0)
    for row in range(9):
        for column in range(9):
            x, y = dx + (column + 0.5 * (row % 2)) * step, dy + row * step
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(60, 110, 220))


def _grass(draw: ImageDraw.ImageDraw, size: int, rng: Random) -> None:
    _fill(draw, size, (120, 190, 70))
    u = size / 96
    for _ in range(70):
        x, y = rng.uniform(0, size), rng.uniform(0, size * 1.05)
        lean = rng.uniform(-3, 3) * u
        draw.polygon([(x - 1.6 * u, y), (x + 1.6 * u, y), (x + lean, y - 9 * u)], fill=(62, 130, 40))


def _sand(draw: ImageDraw.ImageDraw, size: int, rng: Random) -> None:
    _fill(draw, size, (236, 208, 150))
    u = size / 96
    shift = rng.uniform(0, 24)
    for row in range(-1, 6):
        base = (row * 20 + shift) * u
        wave = [(x * u, base + 3 * u * math.sin(x / 12 + row)) for x in range(0, 100, 4)]
        draw.line(wave, fill=(208, 172, 112), width=round(2 * u))
    for _ in range(30):
        x, y = rng.uniform(0, size), rng.uniform(0, size)
        draw.ellipse((x - u, y - u, x + u, y + u), fill=(176, 134, 80))


def _night_sky(draw: ImageDraw.ImageDraw, size: int, rng: Random) -> None:
    _fill(draw, size, (18, 22, 62))
    u = size / 96
    for _ in range(36):
        x, y, r = rng.uniform(0, size), rng.uniform(0, size), rng.uniform(0.7, 1.8) * u
        draw.ellipse((x - r, y - r, x + r, y + r), fill=(250, 246, 190))


def _bricks(draw: ImageDraw.ImageDraw, size: int, rng: Random) -> None:
    _fill(draw, size, (214, 200, 188))
    u = size / 96
    dx, dy = rng.uniform(-20, 0), rng.uniform(-10, 0)
    for row in range(11):
        for column in range(7):
            left, top = (dx + column * 20 - 10 * (row % 2)) * u, (dy + row * 10) * u
            shade = rng.randint(-12, 12)
            draw.rectangle((left, top, left + 18 * u, top + 8 * u), fill=(164 + shade, 88 + shade, 60 + shade))


def _snow(draw: ImageDraw.ImageDraw, size: int, rng: Random) -> None:
    _fill(draw, size, (196, 208, 222))
    u = size / 96
    for _ in range(40):
        x, y, r = rng.uniform(0, size), rng.uniform(0, size), rng.uniform(1.6, 3.4) * u
        draw.ellipse((x - r, y - r, x + r, y + r), fill=(255, 255, 255))


def _waves(draw: ImageDraw.ImageDraw, size: int, rng: Random) -> None:
    _fill(draw, size, (40, 150, 170))
    u = size / 96
    dx, dy = rng.uniform(0, 16), rng.uniform(-14, 0)
    for row in range(9):
        base = dy + row * 14
        points = [
            (x * u, (base + 4 * abs(math.sin((x + dx + 8 * (row % 2)) * math.pi / 16))) * u) for x in range(-1, 99, 2)
        ]
        draw.line(points, fill=(170, 232, 232), width=round(3 * u), joint="curve")


BACKGROUNDS: dict[str, Painter] = {
    "red stripes": _red_stripes,
    "blue dots": _blue_dots,
    "grass": _grass,
    "sand": _sand,
    "night sky": _night_sky,
    "bricks": _bricks,
    "snow": _snow,
    "waves": _waves,
}
