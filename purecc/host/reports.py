"""A report's files, in the host's output folder."""

from __future__ import annotations

import json
from pathlib import Path

import folder_paths

from ..protocol.preservation import Preservation
from ..protocol.report import Report


def save(report: Report | Preservation, prefix: str) -> list[Path]:
    """Writes NAME_00001_.json and NAME_00001_.md, numbered as the host numbers its images; returns their paths."""
    folder, name, number, *_ = folder_paths.get_save_image_path(prefix, folder_paths.get_output_directory())
    contents = {"json": as_json(report), "md": report.markdown() + "\n"}
    paths = []
    for ending, text in contents.items():
        path = Path(folder) / f"{name}_{number:05}_.{ending}"
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


def as_json(report: Report | Preservation) -> str:
    """The report as JSON text."""
    return json.dumps(report.as_dict(), ensure_ascii=False, indent=1)
