"""Save and load training states as safetensors, in one step, so that a stop at any time leaves a complete file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file


def save_state(path: Path, state: dict) -> None:
    """Write a state of nested dicts, lists and tuples with tensors and JSON values in them."""
    tensors: dict[str, torch.Tensor] = {}
    structure = json.dumps(_pack(state, tensors))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    save_file(tensors, part, {"structure": structure})
    part.replace(path)


def load_state(path: Path) -> dict | None:
    """Return the state at `path`, or None if there is none."""
    if not path.is_file():
        return None
    with safe_open(path, "pt") as file:
        return _unpack(json.loads(file.metadata()["structure"]), file)


def _pack(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Return a value as JSON, with containers as [kind, contents] and tensors moved to `tensors`."""
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().contiguous().clone()
        return ["tensor", name]
    if isinstance(value, dict):
        return ["dict", [[_pack(k, tensors), _pack(v, tensors)] for k, v in value.items()]]
    if isinstance(value, list | tuple):
        return ["tuple" if isinstance(value, tuple) else "list", [_pack(v, tensors) for v in value]]
    return value


def _unpack(value: Any, file) -> Any:
    """Reverse `_pack`, with the tensors of an open file."""
    if not isinstance(value, list):
        return value
    kind, contents = value
    if kind == "tensor":
        return file.get_tensor(contents)
    if kind == "dict":
        return {_unpack(k, file): _unpack(v, file) for k, v in contents}
    return (tuple if kind == "tuple" else list)(_unpack(v, file) for v in contents)
