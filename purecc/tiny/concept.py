"""Read the example concept: five reference images of one robot with their captions."""

# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

from PIL import Image

FOLDER = Path(__file__).with_name("concept")
CLASS_WORD = "robot"


def reference_images() -> list[Image.Image]:
    """Return the reference images in the order of their names, RGB."""
    return [Image.open(path).convert("RGB") for path in sorted(FOLDER.glob("*.png"))]


def reference_captions() -> list[str]:
    """Return the caption of each of `reference_images`, with the marker [v]."""
    return [path.with_suffix(".txt").read_text(encoding="utf-8").strip() for path in sorted(FOLDER.glob("*.png"))]
