"""Tell by its name what a file or folder among training images is."""

# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import functools
import re
import stat
import unicodedata
from pathlib import Path

from PIL import Image

CAPTIONS = (".txt", ".caption", ".captions", ".text", ".tags")
"""Endings of a caption file in any case, also after the image's own ("a.png.txt"); the first that exists is read."""

MASK_FOLDERS = frozenset({"mask", "masks", "masklabel", "masklabels"})

MASKLABEL = re.compile(r"[-_. ]masklabel$", re.IGNORECASE)
"""OneTrainer's ending of a mask, which no other image has."""

MOST_REPEATS = 1000

_MASK = re.compile(r"(.+?)[-_. ]mask(?:label)?$", re.IGNORECASE)
_CONDITION = re.compile(r"[-_. ]condlabel$", re.IGNORECASE)
_REPEATS = re.compile(r"([1-9][0-9]{0,3})_(?![0-9]+[-_.][0-9])")
_TOOLS = frozenset({"__macosx", "__pycache__", "thumbs.db", "desktop.ini", "lost+found", "system volume information"})
_TOOL_PREFIXES = (".", "~$", "@eadir", "@recycle", "@tmp", "#recycle", "#snapshot", "$recycle")
_NO_IMAGES = frozenset({"EPS", "WMF", "MPEG", "PDF", "HDF5", "BUFR", "GRIB"})
"""Formats that Pillow hands to another program, or whose files it cannot decode."""


@functools.cache
def image_endings() -> frozenset[str]:
    """Return the endings, such as ".png", of every format that Pillow decodes here."""
    return frozenset(e for e, f in Image.registered_extensions().items() if f in Image.OPEN and f not in _NO_IMAGES)


def is_image(path: Path) -> bool:
    """Return whether a file's name is that of an image; OneTrainer's conditioning images are none."""
    return path.suffix.lower() in image_endings() and not _CONDITION.search(path.stem)


def is_caption(path: Path) -> bool:
    """Return whether a file's ending is that of a caption."""
    return path.suffix.lower() in CAPTIONS and path.is_file()


def is_made_by_tools(path: Path) -> bool:
    """Return whether a file or folder is one that systems and tools leave among a user's, or hidden."""
    name = path.name.lower()
    if name in _TOOLS or name.startswith(_TOOL_PREFIXES):
        return True
    try:
        state = path.stat()
    except OSError:  # a link to nothing; reading it says so
        return False
    hidden = getattr(state, "st_file_attributes", 0) & getattr(stat, "FILE_ATTRIBUTE_HIDDEN", 0)
    return bool(hidden) or not (stat.S_ISREG(state.st_mode) or stat.S_ISDIR(state.st_mode))


def key(name: str) -> str:
    """Return a name as it is compared: whatever its case and code points."""
    return unicodedata.normalize("NFC", name).casefold()


def caption_keys(image: Path) -> list[str]:
    """Return the names that an image's caption may have, exact ones first; see `key`."""
    names = [f"{of}{ending}" for ending in CAPTIONS for of in (image.stem, image.name, f"{image.stem}.txt")]
    return [*names, *map(key, names)]


def mask_of(path: Path) -> str | None:
    """Return the name of the image that an image is the mask of, by its own name; None: it is no mask."""
    found = _MASK.fullmatch(path.stem)
    return found[1] if found else None


def repeats(folder: str) -> int | None:
    """Return the number in front of a folder's name if it counts repeats, as in "10_dog"; None for a date."""
    found = _REPEATS.match(folder)
    return int(found[1]) if found and int(found[1]) <= MOST_REPEATS else None


def natural(path: Path) -> list[tuple[int, int, str]]:
    """Return a sort key that puts "2.png" before "10.png"."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]
