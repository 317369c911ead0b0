"""Seconds a step as bars, one panel a shape, as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

COLOURS = {"ours": "#2a7fb8", "released": "#c8553d", "host": "#8a8a8a"}
WIDTH, BAR, LABEL, LINE = 900, 420, 400, 18


def plot(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draws the rows that have a time; every panel has its own scale."""
    body, y = [], 24
    timed = [r for r in rows if r["seconds"] is not None and r["who"] in COLOURS]
    for device, pixels, batch in dict.fromkeys((r["about"]["device"], r["pixels"], r["batch"]) for r in timed):
        panel = [r for r in timed if (r["about"]["device"], r["pixels"], r["batch"]) == (device, pixels, batch)]
        longest = max(r["seconds"] for r in panel)
        body.append(_text(8, y, f"{pixels} px, batch {batch}, seconds a step on {device}", "bold"))
        y += 8
        for r in sorted(panel, key=lambda r: (r["stage"], r["who"], r["configuration"])):
            width = BAR * r["seconds"] / longest
            body.append(f'<rect x="{LABEL}" y="{y}" width="{width:.1f}" height="12" fill="{COLOURS[r["who"]]}"/>')
            body.append(_text(8, y + 10, f"{r['stage']}: {r['who']}, {r['configuration']}"))
            body.append(_text(LABEL + width + 6, y + 10, f"{r['seconds']:.3g}"))
            y += LINE
        y += 30
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" font-family="sans-serif" font-size="11">'
    back = f'<rect width="{WIDTH}" height="{y}" fill="white"/>'
    path.write_text("\n".join([head, back, *body, "</svg>"]) + "\n", encoding="utf-8")


def _text(x: float, y: float, words: str, weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y}" font-weight="{weight}" fill="black">{escape(words)}</text>'
