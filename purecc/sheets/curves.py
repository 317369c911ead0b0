"""Paint loss, λ* and drift over the steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw

from ..training.history import smooth
from .canvas import INK, font

Point = tuple[float, float]
Curve = tuple[str, tuple, int, list[Point]]
"""(name, or "" for none in the legend; colour; width of the line; points)."""
Panel = tuple[str, list[Curve]]

PANEL = (640, 220)
MARGIN = (70, 34, 20, 30)
GRID = (224, 226, 230)
COLOURS = ((31, 119, 180), (214, 96, 20))


def paint(runs: Sequence[Mapping]) -> Image.Image:
    """Paint a panel each for loss, λ and drift with all runs; panels without data are left out.

    Args:
        runs: LOSS_MAPs: "loss", and where present "lambda", "drift" as (step, value) pairs, "title".
    """
    panels = [p for p in (_losses(runs), _scales(runs), _drifts(runs)) if p[1]]
    width, height = PANEL
    picture = Image.new("RGB", (width, height * len(panels)), "white")
    for row, (title, curves) in enumerate(panels):
        picture.paste(_panel(title, curves), (0, row * height))
    return picture


def _losses(runs: Sequence[Mapping]) -> Panel:
    curves: list[Curve] = []
    for k, run in enumerate(runs):
        steps = list(range(1, len(run["loss"]) + 1))
        pale = tuple((c + 2 * 255) // 3 for c in COLOURS[k % 2])
        curves.append(("", pale, 1, list(zip(steps, run["loss"], strict=True))))
        curves.append((run.get("title", "loss"), COLOURS[k % 2], 2, list(zip(steps, smooth(run["loss"]), strict=True))))
    return "loss", curves


def _scales(runs: Sequence[Mapping]) -> Panel:
    curves: list[Curve] = []
    for k, run in enumerate(runs):
        values = run.get("lambda") or []
        points: list[Point] = list(enumerate(values, start=1))
        if points:
            pale = tuple((c + 2 * 255) // 3 for c in COLOURS[k % 2])
            curves.append(("", pale, 1, points))
            smoothed: list[Point] = list(enumerate(smooth(values), start=1))
            curves.append((run.get("title", "lambda"), COLOURS[k % 2], 2, smoothed))
    return "lambda, median of the batch", curves  # Pillow's own font has no Greek


def _drifts(runs: Sequence[Mapping]) -> Panel:
    return "drift from the base on unrelated prompts", [
        (run.get("title", "drift"), COLOURS[k % 2], 2, [(float(s), float(v)) for s, v in run["drift"]])
        for k, run in enumerate(runs)
        if run.get("drift")
    ]


def _panel(title: str, curves: list[Curve]) -> Image.Image:
    width, height = PANEL
    left, top, right, bottom = MARGIN
    picture = Image.new("RGB", PANEL, "white")
    pen, face = ImageDraw.Draw(picture), font(13)
    points = [p for *_, line in curves for p in line]
    x_low, x_high = min(p[0] for p in points), max(p[0] for p in points)
    y_low, y_high = min(p[1] for p in points), max(p[1] for p in points)
    pad = 0.05 * (y_high - y_low) or 0.5 * abs(y_high) or 1.0
    y_low, y_high = (0.0 if 0.0 <= y_low < 2 * pad else y_low - pad), y_high + pad

    def place(point: Point) -> Point:
        x = left + (point[0] - x_low) / ((x_high - x_low) or 1) * (width - left - right)
        y = height - bottom - (point[1] - y_low) / (y_high - y_low) * (height - top - bottom)
        return x, y

    for k in range(5):
        value = y_low + k / 4 * (y_high - y_low)
        y = place((x_low, value))[1]
        pen.line([(left, y), (width - right, y)], fill=GRID)
        pen.text((left - 6, y), f"{value:.3g}", font=face, fill=INK, anchor="rm")
    for k in range(5 if x_high > x_low else 1):
        value = x_low + k / 4 * (x_high - x_low)
        pen.text((place((value, y_low))[0], height - bottom + 6), f"{value:.0f}", font=face, fill=INK, anchor="mt")
    pen.text((left, 10), title, font=face, fill=INK)
    at = float(width - right)
    for name, colour, thick, line in curves:
        if len(line) > 1:
            pen.line([place(p) for p in line], fill=colour, width=thick)
        else:
            x, y = place(line[0])
            pen.ellipse([x - 3, y - 3, x + 3, y + 3], fill=colour)
        if name:
            pen.text((at, 10), name, font=face, fill=colour, anchor="ra")
            at -= pen.textlength(name, font=face) + 16
    return picture
