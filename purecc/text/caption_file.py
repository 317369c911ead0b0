"""Read the caption file of an image."""

# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import codecs

from .captions import FileCaption
from .image_folder import Entry
from .spelling import plain

_MOST_BYTES = 100_000
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def caption(entry: Entry) -> FileCaption:
    """Return the caption of an image on one line; empty if it has none.

    Raises:
        ValueError: the caption file is not text, or too long; names it.
    """
    path = entry.caption_file
    if path is None:
        return FileCaption("", entry.path.name)
    try:
        with path.open("rb") as file:
            written = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ValueError(
            f"The caption {path.name!r} cannot be read ({error.strerror}). Replace or remove it."
        ) from error
    if len(written) > _MOST_BYTES:
        raise ValueError(
            f"The caption {path.name!r} has {path.stat().st_size} bytes. Shorten it to at most {_MOST_BYTES}."
        )
    try:
        text = written.decode(_encoding(written))
    except UnicodeDecodeError as error:
        raise ValueError(f"The caption {path.name!r} is not UTF-8 text. Save it as UTF-8.") from error
    if "\0" in text:
        raise ValueError(f"The caption {path.name!r} is not text. Save it as UTF-8 text.")
    return FileCaption(plain(text), entry.path.name, path.name)


def _encoding(written: bytes) -> str:
    """Return the encoding of a text by its mark, or by the zeros that UTF-16 has beside every plain letter."""
    for mark, encoding in _MARKS.items():
        if written.startswith(mark):
            return encoding
    even, odd = written[::2].count(0), written[1::2].count(0)
    if len(written) % 2 or even == odd:
        return "utf-8"
    return "utf-16-le" if odd > even else "utf-16-be"
