"""Folders inside the host's input folder, and the images in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import folder_paths
import numpy as np
import torch
from torch import Tensor

from ...text import image_file
from ...text.caption_file import caption
from ...text.captions import FileCaption
from ...text.image_folder import Entry
from ..room import check_memory
from .image_tensors import from_pil

_MOST_FAULTS = 20
_PIXEL_BYTES = 12 + 4
"""Of an image and its mask, in float32."""


@dataclass(frozen=True)
class Loaded:
    """The images of a folder, each as often as it is repeated; repeats share one tensor.

    Attributes:
        images: [1, h, w, 3] in [0, 1] each.
        captions: of the images; empty where an image has none.
        masks: [1, h, w] in [0, 1] each, 1 inside; as of Load Image, one without a mask has zeros, [1, 64, 64].
        size: bytes that they take, repeats counted once.
    """

    images: list[Tensor]
    captions: list[FileCaption]
    masks: list[Tensor]
    size: int


def input_folders() -> list[str]:
    """Return the names of all folders inside the host's input folder."""
    return folder_paths.get_input_subfolders()


def input_folder(name: str) -> Path:
    """Return the path of a folder inside the host's input folder.

    Raises:
        ValueError: there is no such folder, or it lies elsewhere.
    """
    root = folder_paths.get_input_directory()
    path = Path(root) / name
    if not folder_paths.is_within_directory(root, str(path)) or not path.is_dir():
        raise ValueError(
            f"{name!r} is not a folder inside ComfyUI's input folder. Put your images there, press R and choose it."
        )
    return path


def load(entries: Sequence[Entry], on_image: Callable[[], None]) -> Loaded:
    """Load the images of a folder, each once, with captions and masks.

    Args:
        entries: as `read_folder` lists them.
        on_image: called before every image; may raise to cancel.

    Raises:
        ValueError: files cannot be read, or the images do not fit into memory; names all of them.
    """
    _refuse_too_large(entries)
    faults: list[str] = []
    out = Loaded([], [], [], 0)
    size = 0
    for entry in entries:
        on_image()
        try:
            image = from_pil(image_file.picture(entry.path))
            mask = torch.zeros(1, 64, 64) if entry.mask_file is None else _mask(entry.mask_file)
        except ValueError as error:
            faults.append(str(error))
            image = mask = torch.empty(0)
        try:
            text = caption(entry)
            text.place = _place(entry.path)
        except ValueError as error:
            faults.append(str(error))
            text = FileCaption("", entry.path.name)
        if not faults:
            size += image.nbytes + mask.nbytes
            out.images.extend([image] * entry.repeats)
            out.captions.extend([text] * entry.repeats)
            out.masks.extend([mask] * entry.repeats)
    if faults:
        raise ValueError("\n".join(shortened(faults)))
    return Loaded(out.images, out.captions, out.masks, size)


def shortened(lines: Sequence[str], most: int = _MOST_FAULTS) -> list[str]:
    """Return the first lines, and how many more there are."""
    return [*lines[:most], *([f"... and {len(lines) - most} more."] if len(lines) > most else ())]


def _place(path: Path) -> str:
    """Return the path of an image below the input folder; empty where it lies elsewhere."""
    root = Path(folder_paths.get_input_directory()).resolve()
    whole = path.resolve()
    return whole.relative_to(root).as_posix() if whole.is_relative_to(root) else ""


def _mask(path: Path) -> Tensor:
    return torch.from_numpy(np.asarray(image_file.mask(path), dtype=np.float32) / 255.0)[None]


def _refuse_too_large(entries: Iterable[Entry]) -> None:
    """Refuse images that would not fit into the memory that is free, before any is decoded."""
    sizes = {entry.path: image_file.size(entry.path) for entry in entries}
    needed = sum(width * height for width, height in sizes.values()) * _PIXEL_BYTES
    path, (width, height) = max(sizes.items(), key=lambda item: item[1][0] * item[1][1])
    check_memory(
        f"The {len(sizes)} images",
        needed,
        f"The largest, {path.name!r}, is {width} x {height}. Use fewer images, or scale them down.",
    )
