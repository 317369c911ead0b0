"""List a folder of images with their captions and masks, in the layouts that trainers share."""

# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from . import folder_names as names

_MOST_NAMES = 10
MOST_IMAGES = 10_000
"""Of a folder; more are the wrong folder."""


@dataclass(frozen=True)
class Entry:
    """One image of a folder.

    Attributes:
        path: its file.
        caption_file: the file of its caption, or None.
        mask_file: the image of its mask, or None.
        repeats: how often it is shown relative to the others, from the name of its folder.
    """

    path: Path
    caption_file: Path | None = None
    mask_file: Path | None = None
    repeats: int = 1


@dataclass(frozen=True)
class Folder:
    """What a folder holds.

    Attributes:
        entries: at least one image, in natural order ("2" before "10").
        remarks: what a user should know of how it was read, a sentence each.
    """

    entries: tuple[Entry, ...]
    remarks: tuple[str, ...] = ()


def read_folder(folder: Path) -> Folder:
    """List the images of a folder and its direct subfolders.

    A folder `10_dog` is kohya's: its images are shown ten times as often as those of `1_dog` beside it. Only this ratio
    counts, so on its own it is like any other folder. A mask is beside its image as `NAME-masklabel.png` or
    `NAME_mask.png`, or in a subfolder `masks` under the image's name. What tools make is passed over.

    Raises:
        ValueError: there are no images, or too many, or there is a mask without an image; names all of them.
    """
    places, passed, deep = _places(folder)
    images = {place: [p for p in files if names.is_image(p)] for place, files in places.items()}
    if (count := sum(map(len, images.values()))) > MOST_IMAGES:
        raise ValueError(
            f"There are {count} images in {folder.name!r}. Three to ten are enough, and at most {MOST_IMAGES} are "
            "read. Choose another folder, or move some of them out of it."
        )
    aside = _mask_folders(folder, images)
    masks, faults = _masks(folder, images, aside)
    captions = {place: _captions(files) for place, files in places.items()}
    used, found = set(masks.values()), []
    for place, files in images.items():
        count = names.repeats(place.name) or 1
        for path in files:
            if path in used or place in aside:
                continue
            caption = next((c for k in names.caption_keys(path) if (c := captions[place].get(k))), None)
            found.append(Entry(path, caption, masks.get(path), count))
    known = {path for e in found for path in (e.path, e.caption_file, e.mask_file)}
    passed += [path for files in places.values() for path in files if path not in known and path not in used]
    if faults:
        raise ValueError("\n".join(faults))
    if not found:
        seen = f" ({_passed_over(folder, passed)})" if passed else ""
        raise ValueError(
            f"There are no images in {folder.name!r}{seen}. Put .png, .jpg or .webp files there, and "
            "beside each a .txt file of the same name with its caption, if it has one."
        )
    common = math.gcd(*(e.repeats for e in found))
    entries = tuple(replace(e, repeats=e.repeats // common) for e in found)
    return Folder(entries, tuple(_remarks(folder, entries, passed, deep)))


def caption_file(image: Path) -> Path:
    """Return the caption file of an image, or the one to make: NAME.txt, unless another image has that name, too.

    Raises:
        OSError: its folder cannot be read.
    """
    files = [path for path in image.parent.iterdir() if not names.is_made_by_tools(path)]
    there = _captions(files)
    if (found := next((there[k] for k in names.caption_keys(image) if k in there), None)) is not None:
        return found
    alike = [p for p in files if names.key(p.stem) == names.key(image.stem) and p != image and names.is_image(p)]
    return image.with_name(f"{image.name if alike else image.stem}.txt")


def fingerprint(entries: Iterable[Entry]) -> str:
    """Return a hash that changes when one of these files is changed, added or removed."""
    digest = hashlib.sha256()
    for entry in entries:
        for path in (entry.path, entry.caption_file, entry.mask_file):
            if path is not None and path.exists():
                state = path.stat()
                digest.update(f"{path} {state.st_mtime_ns} {state.st_size} {entry.repeats}\n".encode(errors="replace"))
    return digest.hexdigest()


def _places(folder: Path) -> tuple[dict[Path, list[Path]], list[Path], list[Path]]:
    """Return the files of the folder and its subfolders, what was passed over, and folders that lie too deep."""
    places: dict[Path, list[Path]] = {folder: []}
    passed, deep = [], []
    for path in sorted(folder.iterdir(), key=names.natural):
        if names.is_made_by_tools(path):
            passed.append(path)
        elif path.is_dir():
            places[path] = []
        else:
            places[folder].append(path)
    for place in [p for p in places if p != folder]:
        try:
            inside = sorted(place.iterdir(), key=names.natural)
        except OSError:
            passed.append(place)
            continue
        for path in inside:
            if names.is_made_by_tools(path):
                passed.append(path)
            elif path.is_dir():
                deep.append(path)
            else:
                places[place].append(path)
    return places, passed, deep


def _captions(files: Iterable[Path]) -> dict[str, Path]:
    """Return the caption files by exact name and by `key`, the name as it is written first."""
    texts = [path for path in files if names.is_caption(path)]
    return {names.key(path.name): path for path in reversed(texts)} | {path.name: path for path in texts}


def _mask_folders(folder: Path, images: dict[Path, list[Path]]) -> set[Path]:
    """Return the subfolders that hold the masks of images that lie elsewhere."""
    called = {place for place in images if place != folder and names.key(place.name) in names.MASK_FOLDERS}
    return called if any(files for place, files in images.items() if place not in called) else set()


def _masks(folder: Path, images: dict[Path, list[Path]], aside: set[Path]) -> tuple[dict[Path, Path], list[str]]:
    """Return {image: its mask}, and what is wrong with the others, a sentence each."""
    masks: dict[Path, Path] = {}
    faults = []
    everywhere = _by_name(path for place, files in images.items() if place not in aside for path in files)
    for place, files in images.items():
        here = everywhere if place in aside else _by_name(files)
        named = {path: names.mask_of(path) for path in files}
        only_masks = place not in aside and all(stem is not None for stem in named.values())
        for path in files:
            stem = named[path]
            if place not in aside and (stem is None or (only_masks and not names.MASKLABEL.search(path.stem))):
                continue
            of = [path.stem, stem] if place in aside else [stem]
            owners = next((o for n in of if n and (o := [p for p in here.get(names.key(n), ()) if p != path])), [])
            which = path.relative_to(folder).as_posix()
            if len(owners) == 1 and owners[0] not in masks:
                masks[owners[0]] = path
            elif owners:
                faults.append(f"{which!r} is a second mask of {owners[0].name!r}, or one of two images. Remove one.")
            else:
                faults.append(
                    f"{which!r} is named like the mask of an image {(stem or path.stem)!r}, which is not there. Add "
                    "the image, or rename or remove this file."
                )
    return masks, faults


def _by_name(files: Iterable[Path]) -> dict[str, list[Path]]:
    """Return the images by the keys of their names, with and without the ending."""
    out: dict[str, list[Path]] = {}
    for path in files:
        for name in {names.key(path.stem), names.key(path.name)}:
            out.setdefault(name, []).append(path)
    return out


def _remarks(folder: Path, entries: tuple[Entry, ...], passed: list[Path], deep: list[Path]) -> Iterable[str]:
    counts = {e.path.parent: e.repeats for e in entries}
    if len(set(counts.values())) > 1:
        yield "Repeats: " + ", ".join(f"{n} for {place.name}" for place, n in list(counts.items())[:_MOST_NAMES]) + "."
    dates = [place for place in counts if names.repeats(place.name) is None and re.match(r"\d+_", place.name)]
    if dates and len(counts) > 1:
        yield f"{_names(folder, dates)}: the number is not a count of repeats (1 to 1000)."
    if masked := [e for e in entries if e.mask_file]:
        yield f"{len(masked)} of {len(entries)} images have a mask."
    without = [e.path for e in entries if e.caption_file is None]
    if 0 < len(without) < len(entries):
        yield f"{len(without)} of {len(entries)} images have no caption: {_names(folder, without)}."
    if passed:
        yield f"{_passed_over(folder, passed)}."
    if deep:
        yield f"Only direct subfolders are read, not {_names(folder, deep)}."


def _passed_over(folder: Path, paths: list[Path]) -> str:
    return f"Passed over: {_names(folder, paths)}"


def _names(folder: Path, paths: list[Path]) -> str:
    listed = [path.relative_to(folder).as_posix() if path != folder else path.name for path in paths]
    more = len(listed) - _MOST_NAMES
    return ", ".join(listed[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
