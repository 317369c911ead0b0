"""Adapters in the host's model folders."""

from __future__ import annotations

from pathlib import Path

import folder_paths

from .. import files

_ours: dict[tuple[str, int], bool] = {}


def adapter_names() -> list[str]:
    """Files of the loras folders that this pack wrote."""
    return [n for n in folder_paths.get_filename_list("loras") if _is_ours(n)]


def load_adapter(name: str) -> files.Adapter:
    """An adapter by its file name in the loras folders, with the embedding that belongs to it.

    Raises:
        AdapterFileError: see `files.load`.
    """
    path = folder_paths.get_full_path_or_raise("loras", name)
    return files.load(path, embeddings_dirs=folder_paths.get_folder_paths("embeddings"))


def _is_ours(name: str) -> bool:
    path = folder_paths.get_full_path("loras", name)
    if path is None or not name.endswith(".safetensors"):
        return False
    key = (path, Path(path).stat().st_mtime_ns)
    if key not in _ours:
        try:
            _ours[key] = files.read_metadata(path).get("purecc.part") == "lora"
        except (OSError, ValueError):
            _ours[key] = False
    return _ours[key]
