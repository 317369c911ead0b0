"""A folder of pictures with a text file beside each, as the trainers of this field lay it out."""

# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import codecs
import hashlib
import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".avif"})
CAPTIONS = (".txt", ".caption")
"""Endings of a caption's file, the first that is there."""

_REPEATS = re.compile(r"(\d+)_")


@dataclass(frozen=True)
class Entry:
    """One picture of a folder.

    Attributes:
        path: its file.
        repeats: how often it is shown for each time that the others are, from the name of its folder.
    """

    path: Path
    repeats: int = 1

    @property
    def caption_file(self) -> Path | None:
        """The file of its caption, if there is one."""
        return next((p for e in CAPTIONS if (p := self.path.with_suffix(e)).is_file()), None)


def entries(folder: Path) -> list[Entry]:
    """The pictures of a folder and of the folders in it, by name, numbers by their value.

    A folder `10_dog` is kohya's: its pictures are shown ten times as often as those of `1_dog` beside it. Only this
    ratio counts, so alone it is as any other folder.

    Raises:
        ValueError: there are no pictures.
    """
    found = []
    for place in (folder, *sorted((p for p in folder.iterdir() if p.is_dir()), key=_natural)):
        number = _REPEATS.match(place.name)
        repeats = max(1, int(number[1])) if number else 1
        files = sorted((p for p in place.iterdir() if p.is_file() and p.suffix.lower() in PICTURES), key=_natural)
        found += [Entry(file, repeats) for file in files if not file.name.startswith(".")]
    if not found:
        raise ValueError(
            f"There are no pictures in {folder.name!r}: put .png, .jpg or .webp files there, and beside each a .txt of "
            "the same name with its caption, if it has one."
        )
    common = math.gcd(*(e.repeats for e in found))
    return [Entry(e.path, e.repeats // common) for e in found]


def fingerprint(found: list[Entry]) -> str:
    """A hash that changes when a file of these is changed, added or taken away."""
    digest = hashlib.sha256()
    for entry in found:
        for path in (entry.path, entry.caption_file):
            if path is not None:
                state = path.stat()
                digest.update(f"{path} {state.st_mtime_ns} {state.st_size} {entry.repeats}\n".encode())
    return digest.hexdigest()


def caption(entry: Entry) -> str:
    """The caption of a picture on one line; empty where there is none.

    Raises:
        ValueError: its file is no text.
    """
    path = entry.caption_file
    if path is None:
        return ""
    written = path.read_bytes()
    encoding = "utf-16" if written.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    try:
        return " ".join(written.decode(encoding).split())
    except UnicodeDecodeError as error:
        raise ValueError(f"The caption {path.name!r} is not UTF-8 text: save it again as UTF-8.") from error


def picture(path: Path) -> Image.Image:
    """A file's picture as one sees it, in RGB.

    It is turned and mirrored as its EXIF orientation says, transparency is laid on white, 16 bits of grey become 8, and
    CMYK and palettes become RGB.

    Raises:
        ValueError: the file is no picture, or cut short.
    """
    try:
        # By its path an uncompressed TIFF is mapped into memory, and comes out sheared where it is to be turned.
        with path.open("rb") as file, Image.open(file) as opened:
            shown = ImageOps.exif_transpose(opened)
            if shown.mode.startswith("I"):
                return Image.fromarray(_eight_bits(np.asarray(shown))).convert("RGB")
            if shown.mode == "F":
                raise OSError("it holds floating-point numbers without a range")
            if not shown.has_transparency_data:
                return shown.convert("RGB")
            shown = shown.convert("RGBA")
            white = Image.new("RGBA", shown.size, "white")
            return Image.alpha_composite(white, shown).convert("RGB")
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path.name!r} cannot be read as a picture ({error}): replace it or take it away.") from error


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """Grey of 16 bits as bytes; Pillow holds some of it 32 bits wide."""
    return np.clip((values.astype(np.int64) + 128) // 257, 0, 255).astype(np.uint8)


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """A key by which "2.png" comes before "10.png"."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]
