"""Save what was recorded of single steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import folder_paths
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ..messages import Message


def save_traces(name: str, traces: Mapping[int, Mapping[str, Tensor]], note: Callable[[Message], None]) -> None:
    """Write a file for each step into output/purecc/traces, none twice. A disk that refuses does not end a run.

    Args:
        name: of the adapter.
        traces: tensors by step.
        note: told what could not be written.
    """
    folder = Path(folder_paths.get_output_directory()) / "purecc" / "traces"
    try:
        for step, tensors in traces.items():
            folder.mkdir(parents=True, exist_ok=True)
            number = 1
            while (path := folder / f"{name}_step{step}_{number:03}.safetensors").exists():
                number += 1
            save_file(dict(tensors), path)
    except (OSError, SafetensorError) as error:
        note(Message("note_traces_not_saved", {"error": str(error)}))
