"""List, load and save adapters in the host's model folders."""

from __future__ import annotations

import functools
import os
from dataclasses import replace
from pathlib import Path

import folder_paths
from comfy.model_patcher import ModelPatcher

from ...adapters import files
from ..room import disk_fault
from .imports import Imported, import_lora
from .layer_names import COMFYUI, exported

MOST_NAMES = 999
"""Tries at a name that is not taken."""
_loras: dict[tuple[str, int], bool] = {}


def adapter_names() -> list[str]:
    """Return the LoRAs of the loras folders that can be loaded: this pack's and those of other programs."""
    _recover_once()
    return [n for n in folder_paths.get_filename_list("loras") if _is_lora(n)]


def load_adapter(name: str, model: ModelPatcher | None = None) -> files.Adapter | Imported:
    """Load an adapter by its file name in the loras folders, with its embedding, or import another program's.

    Args:
        name: of the file.
        model: the MODEL of a LoRA that this pack did not save.

    Raises:
        AdapterFileError: see `files.load` and `import_lora`; a LoRA of another program is asked for without a MODEL.
    """
    path = Path(folder_paths.get_full_path_or_raise("loras", name))
    if not files.is_foreign_lora(path):
        return files.load(path, embeddings_dirs=folder_paths.get_folder_paths("embeddings"))
    if model is None:
        raise files.AdapterFileError(
            f"{path} is a LoRA that PureCC did not make. Connect its base model to the input model of Load Adapter to "
            "import it, or load it with the stock Load LoRA node."
        )
    return import_lora(path, model)


def save_adapter(
    adapter: files.Adapter, overwrite: bool, layout: str = COMFYUI, model: ModelPatcher | None = None
) -> list[Path]:
    """Write an adapter to the host's first loras and embeddings folders and return the paths of its files.

    Args:
        adapter: the adapter.
        overwrite: whether files of that name are replaced; else the adapter becomes NAME_2, NAME_3 and so on.
        layout: COMFYUI, or a format of `layer_names.FORMATS`.
        model: the MODEL that the adapter belongs to, needed for every other format than COMFYUI.

    Raises:
        FileExistsError: all these names are taken.
        ValueError: the format has no names for the adapter's layers, or there is no MODEL.
    """
    loras, embeddings = (folder_paths.get_folder_paths(kind)[0] for kind in ("loras", "embeddings"))
    written = None
    if layout != COMFYUI:
        if model is None:
            raise ValueError(
                f"The format {layout!r} needs the names of the model's layers. Connect the base model to the input "
                f"model of Save Adapter, or set format to {COMFYUI!r}."
            )
        try:
            written = exported(adapter.lora, model, layout)
        except ValueError as error:
            raise ValueError(
                f"{adapter.name!r} cannot be saved in the format {layout!r}: {error}. Choose another format."
            ) from error
    for number in range(1, MOST_NAMES + 1):
        named = adapter if number == 1 else replace(adapter, name=f"{adapter.name}_{number}")
        try:
            return [path for path in files.save(named, loras, embeddings, overwrite, written) if path is not None]
        except FileExistsError:
            if overwrite or number == MOST_NAMES:
                raise
    raise AssertionError  # the last name returns or raises


def folder_fault(needed: int = 0) -> str:
    """Return why adapters cannot be saved in the host's folders, such as "PATH is read-only."; empty if they can.

    Args:
        needed: bytes of all that will be saved; 0: not known yet.
    """
    for kind in ("loras", "embeddings"):
        folder = there = Path(folder_paths.get_folder_paths(kind)[0])
        while not there.exists():
            there = there.parent
        if not there.is_dir() or not os.access(there, os.W_OK):
            return f"{folder} cannot be written to. Let ComfyUI write there, or choose another folder for {kind}."
        if fault := disk_fault(folder, there, needed if kind == "loras" else 0):
            return fault
    return ""


def is_taken(name: str) -> bool:
    """Return whether an adapter of that name would meet another file in the host's folders."""
    folders = (folder_paths.get_folder_paths(kind)[0] for kind in ("loras", "embeddings"))
    return any((Path(folder) / f"{name}.safetensors").exists() for folder in folders)


def adapter_id(name: str) -> str | None:
    """Return what tells one content of a file of the loras folders from another; None if it has no such."""
    path = Path(folder_paths.get_full_path_or_raise("loras", name))
    if files.is_foreign_lora(path):
        state = path.stat()
        return f"{state.st_mtime_ns} {state.st_size}"
    return files.read_metadata(path).get("purecc.id")


@functools.cache
def _recover_once() -> None:
    """Finish or undo, at the start, what a killed process was saving."""
    files.recover(folder_paths.get_folder_paths("loras"), folder_paths.get_folder_paths("embeddings"))


def _is_lora(name: str) -> bool:
    """Return whether a file is the LoRA of an adapter, or one of another program."""
    if not name.endswith(".safetensors"):
        return False
    try:
        path = Path(folder_paths.get_full_path_or_raise("loras", name))
        key = (str(path), path.stat().st_mtime_ns)
        if key not in _loras:
            _loras[key] = files.is_foreign_lora(path) or files.read_metadata(path)["purecc.part"] == "lora"
    except files.AdapterFileError:
        _loras[key] = False
    except OSError:
        return False
    return _loras[key]
