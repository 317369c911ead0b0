"""Make the pack importable in a script, as `purecc_pack`, beside the host's own modules."""

import os
import sys
import types
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def load_pack() -> None:
    """Import nothing yet: `purecc_pack` becomes the repository's root and COMFYUI_PATH the home of `comfy`.

    The root itself stays off sys.path, where its `nodes` and `tests` would shadow the host's. A pack that is there
    already stays.
    """
    if "purecc_pack" in sys.modules:
        return
    host = os.environ.get("COMFYUI_PATH")
    if not host or not (Path(host) / "comfy").is_dir():
        raise SystemExit("Set COMFYUI_PATH to the folder of a ComfyUI (the one that holds main.py).")
    sys.path.insert(0, host)
    package = types.ModuleType("purecc_pack")
    package.__path__ = [str(ROOT)]
    sys.modules["purecc_pack"] = package
    import comfy.cli_args
    import torch

    comfy.cli_args.args.cpu = not torch.cuda.is_available()


def widget_defaults(kind: str) -> dict[str, Any]:
    """Return the defaults of the widgets of a node of the pack, by id, once the pack is loaded."""
    from purecc_pack.nodes import NODES

    (node,) = (node for node in NODES if node.GET_SCHEMA().node_id == kind)
    inputs, found = node.INPUT_TYPES(), {}
    for name, (sort, *options) in {**inputs["required"], **inputs.get("optional", {})}.items():
        given = options[0] if options else {}
        choices = sort if isinstance(sort, list) else given.get("options")
        if "default" in given or choices:
            found[name] = given.get("default", choices and choices[0])
    return found
