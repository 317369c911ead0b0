"""Keep the picture of an adapter beside its file, as LoRA managers show it: NAME.png, and never the user's own."""

# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path

from PIL import Image, PngImagePlugin, UnidentifiedImageError

MARK = "purecc"
"""Key of a text in the PNG, by which the pack knows its own pictures."""

SIDE = 512


def shown_for(image: Image.Image, words: str) -> bytes:
    """Return an image as the picture of an adapter: PNG, at most 512 px wide and high, with its words in it.

    Args:
        image: a sample, or a training image.
        words: what it is, for programs that show the texts of a PNG.
    """
    small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    texts, out = PngImagePlugin.PngInfo(), BytesIO()
    texts.add_itxt(MARK, words)
    small.save(out, "PNG", pnginfo=texts)
    return out.getvalue()


def ours(path: Path) -> bytes | None:
    """Return the bytes of a picture that this pack wrote; None where there is none, or another."""
    try:
        content = path.read_bytes()
        with Image.open(BytesIO(content), formats=["PNG"]) as image:
            return content if MARK in getattr(image, "text", {}) else None
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError):
        return None


def changes(path: Path, picture: bytes | None) -> dict[Path, bytes | None]:
    """Return what is to be written to, or with None removed from, the place of an adapter's picture.

    Nothing, if the picture is there already, or another one that the pack did not write.
    """
    if not os.path.lexists(path):
        return {} if picture is None else {path: picture}
    found = ours(path)
    return {} if found is None or found == picture else {path: picture}
