"""Refuse what would not fit into memory or onto a disk, before any of it is made."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from comfy import model_management

LEAST_FREE = 2**20
"""Free bytes below which a disk is full: no adapter fits."""


def check_memory(what: str, needed: int, advice: str) -> None:
    """Check that images fit into the memory that is free.

    Args:
        what: the images, in the plural.
        needed: bytes.
        advice: what to do, a sentence.

    Raises:
        ValueError: they do not fit.
    """
    free = model_management.get_free_memory(torch.device("cpu"))
    if needed > free:
        raise ValueError(f"{what} need {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free. {advice}")


def disk_fault(folder: Path, there: Path, needed: int = 0) -> str:
    """Return why so many bytes cannot be written to a folder; empty if they can.

    Args:
        folder: for the message.
        there: the folder, or the one above it that exists.
        needed: bytes.
    """
    free = shutil.disk_usage(there).free
    if free < LEAST_FREE:
        return f"The disk of {folder} is full: {free} bytes are free. Free some space."
    if free < needed:
        return (
            f"The disk of {folder} has {free / 1e6:.0f} MB free, and what will be saved takes {needed / 1e6:.0f} MB. "
            "Free some space, or lower rank."
        )
    return ""
