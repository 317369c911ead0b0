"""Plot of lines as SVG, without a library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

COLOURS = ("#4477aa", "#ee6677", "#228833", "#aa3377", "#ccbb44", "#66ccee", "#777777", "#000000")
DASHES = ("", "6 3", "2 3", "8 3 2 3")
LEFT, TOP, BOTTOM, LEGEND = 80, 20, 60, 270
WIDTH, HEIGHT = 840, 460


@dataclass(frozen=True)
class Axis:
    """One direction of a plot.

    Attributes:
        label: what is on it.
        low: where it begins; what is lower is drawn there.
        high: where it ends.
        ticks: values that are written.
        log: whether decades are equally long.
    """

    label: str
    low: float
    high: float
    ticks: Sequence[float]
    log: bool = False

    def part(self, value: float) -> float:
        """Return how far along the axis a value is, from 0 to 1."""
        low, high, x = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, x = math.log10(low), math.log10(high), math.log10(x)
        return (x - low) / (high - low)


def draw(lines: Mapping[str, Sequence[tuple[float, float]]], across: Axis, up: Axis, path: Path) -> None:
    """Write the lines, each with its name beside the plot."""
    height = max(HEIGHT, 40 + 20 * len(lines))

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            LEFT + across.part(x) * (WIDTH - LEFT - LEGEND - 20),
            TOP + (1 - up.part(y)) * (height - BOTTOM - TOP),
        )

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        f'font-size="13"><rect width="{WIDTH}" height="{height}" fill="white"/>'
    ]
    for tick in across.ticks:
        x, y = place(tick, up.low)
        parts.append(f'<path d="M{x:.1f} {TOP}V{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.1f}" y="{y + 18:.1f}" text-anchor="middle">{tick:g}</text>')
    for tick in up.ticks:
        (x, y), (end, _) = place(across.low, tick), place(across.high, tick)
        parts.append(f'<path d="M{x:.1f} {y:.1f}H{end:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{x - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    middle = (LEFT + WIDTH - LEGEND - 20) / 2
    parts.append(f'<text x="{middle:.1f}" y="{height - 14}" text-anchor="middle">{across.label}</text>')
    parts.append(
        f'<text x="18" y="{height / 2}" transform="rotate(-90 18 {height / 2})" text-anchor="middle">{up.label}</text>'
    )
    for number, (name, points) in enumerate(lines.items()):
        colour, dash = COLOURS[number % len(COLOURS)], DASHES[number // len(COLOURS) % len(DASHES)]
        places = [place(x, y) for x, y in points]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        drawn = f'fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"'
        parts.append(f'<polyline points="{line}" {drawn}/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in places]
        y = 30 + 20 * number
        parts.append(f'<path d="M{WIDTH - LEGEND} {y}h20" {drawn}/>')
        parts.append(f'<text x="{WIDTH - LEGEND + 25}" y="{y + 4}">{name}</text>')
    path.write_text("\n".join([*parts, "</svg>"]) + "\n", encoding="utf-8")
