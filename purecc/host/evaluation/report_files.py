"""Save a report in the host's output folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

import folder_paths

from ...adapters import transaction
from ...evaluation.preservation import Preservation
from ...evaluation.report import Report
from ...text.spelling import quoted

MOST_BYTES = 200
"""Of a prefix, folders included; file systems take names of 255 bytes."""


def prefix_fault(prefix: str) -> str:
    """Return what is wrong with a filename_prefix, beginning with that name; empty if nothing is."""
    if not isinstance(prefix, str):  # the host hands on what it could not convert
        return f"filename_prefix is {prefix!r}, which is no text. Use a path inside ComfyUI's output folder."
    if not prefix.isprintable() or len(prefix.encode()) > MOST_BYTES:
        return (
            f"filename_prefix {quoted(prefix, 40)} cannot be the beginning of a file's name. Use letters, digits and "
            f"spaces, at most {MOST_BYTES} bytes: purecc/report."
        )
    root = folder_paths.get_output_directory()
    folder = (Path(root) / os.path.normpath(prefix)).parent
    if not folder_paths.is_within_directory(root, str(folder)):
        return f"filename_prefix {prefix!r} leads out of ComfyUI's output folder. Use a path inside it: purecc/report."
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        return f"filename_prefix {prefix!r}: {folder} cannot be written to. Choose another folder, or free this one."
    return ""


def save(report: Report | Preservation, prefix: str) -> list[Path]:
    """Write NAME_00001_.json and NAME_00001_.md, numbered as the host numbers its images; returns their paths.

    Raises:
        OSError: they cannot be written; neither is then, and the message names the file and the room there is.
    """
    folder, name, number, *_ = folder_paths.get_save_image_path(prefix, folder_paths.get_output_directory())
    texts = {"json": as_json(report), "md": report.markdown() + "\n"}
    contents: dict[Path, bytes | None] = {
        Path(folder) / f"{name}_{number:05}_.{ending}": text.encode("utf-8") for ending, text in texts.items()
    }
    transaction.publish(contents)
    return list(contents)


def as_json(report: Report | Preservation) -> str:
    """Return the report as JSON text."""
    return json.dumps(report.as_dict(), ensure_ascii=False, indent=1)
