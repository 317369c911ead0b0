"""Loads the pack as the host does, prepares the host's own modules, and lends the server and browser fixtures.

Tests import the pack as `purecc_pack` (`from purecc_pack.purecc import objective`). The repository's root is never
on sys.path: its `nodes` and `tests` would shadow the host's.
"""

import atexit
import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("OMP_NUM_THREADS", str(min(4, os.cpu_count() or 1)))
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]  # python -m pytest adds it
sys.path.append(str(ROOT / "scripts"))


def load_pack():
    """Imports the repository's root as the package `purecc_pack`."""
    spec = importlib.util.spec_from_file_location(
        "purecc_pack", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    pack = importlib.util.module_from_spec(spec)
    sys.modules["purecc_pack"] = pack
    spec.loader.exec_module(pack)


def prepare_comfy(tree: Path):
    """Puts ComfyUI on sys.path, on the CPU unless PURECC_TEST_GPU is set, with a throw-away base directory."""
    sys.path.insert(0, str(tree))
    from comfy.cli_args import args

    args.cpu = not os.environ.get("PURECC_TEST_GPU")
    args.base_directory = tempfile.mkdtemp(prefix="purecc-base-")
    atexit.register(shutil.rmtree, args.base_directory, ignore_errors=True)


load_pack()
if os.environ.get("COMFYUI_PATH"):
    prepare_comfy(Path(os.environ["COMFYUI_PATH"]).resolve())


@pytest.fixture(scope="session")
def comfyui() -> Path:
    """The ComfyUI tree that scripts/test.py names in COMFYUI_PATH."""
    tree = os.environ.get("COMFYUI_PATH")
    if not tree:
        pytest.fail("COMFYUI_PATH is not set: run `python3 scripts/test.py`, or set it to a ComfyUI folder.")
    return Path(tree).resolve()
