"""Read an image file as colours, or as a mask, whatever its format, depth, rotation and transparency."""

# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_NEEDED = (b"tRNS", b"eXIf")
"""Chunks that change the picture, besides those whose names begin with a capital."""


def picture(path: Path) -> Image.Image:
    """Read an image file as RGB.

    Applies the EXIF orientation, puts transparency on white, reduces 16 bits of grey to 8, and converts CMYK and
    palettes. Metadata that Pillow refuses, such as a large colour profile, does not matter.

    Raises:
        ValueError: the file is not an image, or is truncated; names it.
    """
    shown = _upright(path)
    if not shown.has_transparency_data:
        return shown.convert("RGB")
    shown = shown.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown).convert("RGB")


def mask(path: Path) -> Image.Image:
    """Read an image file as a mask in grey, white inside; one that is black all over is read from its transparency.

    Raises:
        ValueError: see `picture`.
    """
    shown = _upright(path)
    if not shown.has_transparency_data:
        return shown.convert("L")
    shown = shown.convert("RGBA")
    grey = Image.alpha_composite(Image.new("RGBA", shown.size, "black"), shown).convert("L")
    return grey if grey.getextrema()[1] else shown.getchannel("A")


def size(path: Path) -> tuple[int, int]:
    """Return width and height without decoding; (0, 0) if the file cannot be read."""
    try:
        with path.open("rb") as file, Image.open(file) as opened:
            return opened.size
    except Exception:  # whatever its decoder raises; `picture` says what is wrong
        return 0, 0


def _upright(path: Path) -> Image.Image:
    """Decode an image file, turned upright, at 8 bits a channel."""
    try:
        # Opened by its path, an uncompressed TIFF is memory-mapped and comes out sheared when EXIF rotates it.
        with path.open("rb") as file:
            try:
                return _decoded(file)
            except Exception:
                file.seek(0)
                if file.read(len(_PNG)) != _PNG:
                    raise
                return _decoded(io.BytesIO(_PNG + b"".join(_essential(file))))
    except Exception as error:  # decoders raise anything on damaged files
        raise ValueError(f"{path.name!r} cannot be read as an image ({error}). Replace or remove it.") from error


def _decoded(file: BinaryIO) -> Image.Image:
    with Image.open(file) as opened:
        shown = ImageOps.exif_transpose(opened)
        shown.load()
    if shown.mode.startswith("I"):
        return Image.fromarray(_eight_bits(np.asarray(shown)))
    return Image.fromarray(_bytes(np.asarray(shown))) if shown.mode == "F" else shown


def _essential(file: BinaryIO) -> Iterator[bytes]:
    """Yield the chunks of a PNG, after its signature, without its metadata; what is truncated stays so."""
    while len(head := file.read(8)) == 8:
        length, name = int.from_bytes(head[:4], "big"), head[4:]
        if name[:1].isupper() or name in _PNG_NEEDED:
            data = file.read(length)
            checksum = file.read(4)
            if name in _PNG_NEEDED:
                checksum = zlib.crc32(name + data).to_bytes(4, "big")
            yield head + data + checksum
        else:
            file.seek(length + 4, io.SEEK_CUR)
        if name == b"IEND":
            return


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """Convert 16-bit grey to bytes; Pillow stores some of it in 32 bits."""
    return np.clip((values.astype(np.int64) + 128) // 257, 0, 255).astype(np.uint8)


def _bytes(values: np.ndarray) -> np.ndarray:
    """Convert floating-point grey from 0 to 1, or from 0 to 255, to bytes.

    Raises:
        OSError: its range is another.
    """
    low, high = float(values.min()), float(values.max())
    if not 0 <= low <= high <= 255:
        raise OSError(f"floating-point values from {low:.3g} to {high:.3g}; save it with values from 0 to 1")
    return (values * (255 if high <= 1 else 1)).round().astype(np.uint8)
