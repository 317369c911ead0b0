"""Make the pack importable in a script, as `purecc_pack`, beside the host's own modules."""

import os
import sys
import types
from pathlib import Path

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
