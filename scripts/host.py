"""Make the pack's own environment, gets ComfyUI into it, and starts a server on it.

    python3 scripts/host.py [--comfyui DIR] [--port N]

Everything lies in ignored folders of this repository: `.venv` (Python packages) and `.comfyui` (ComfyUI, when no tree
is given, and the base directory with models, input and output). A tree given by --comfyui or COMFYUI_PATH is only read.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv
from dataclasses import dataclass
from pathlib import Path

import serving
import source

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".comfyui"
CPU_TORCH = ("torch==2.13.0",)
CPU_TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
# Hard imports of the host. Without --no-deps they could bring another torch.
TORCH_COMPANIONS = ("torchvision==0.28.0", "torchaudio==2.11.0")
# In the host's requirements, but it boots without: help pages, the OpenGL nodes, and 411 MB of template media, for
# which the core package stands in. torch and its companions have their own step.
LEFT_OUT = {"torch", "torchvision", "torchaudio", "comfyui-embedded-docs", "pyopengl", "comfy-angle"}
REPLACED = {"comfyui-workflow-templates": "comfyui-workflow-templates-core"}
TEST_REQUIREMENTS = ("pytest>=8", "pytest-xdist==3.8.0", "playwright>=1.45", "ruff==0.17.6", "mypy==2.4.1")


class HostError(RuntimeError):
    """The environment could not be made; the message says what to do."""


@dataclass(frozen=True)
class Host:
    """An environment that can run ComfyUI: its interpreter and the ComfyUI tree."""

    python: Path
    comfyui: Path


def say(text: str) -> None:
    """Print one line of progress at once."""
    print(text, flush=True)


def prepare(comfyui: Path | None = None, tests: bool = False, root: Path = ROOT) -> Host:
    """Install what is missing and return the host. A second call finds it all done.

    Args:
        comfyui: a ComfyUI tree to use; by default that of COMFYUI_PATH, else one of our own is downloaded.
        tests: also install what the tests need.
        root: the repository.

    Raises:
        HostError: an installation failed.
        source.SourceError: `comfyui` is not a ComfyUI folder, or none could be downloaded.
    """
    given = comfyui or os.environ.get("COMFYUI_PATH")
    python = make_venv(root / ".venv")
    tree = source.check_tree(Path(given)) if given else source.get_comfyui(root / ".comfyui", python)
    wanted = host_requirements(tree) + pack_requirements(root)
    if tests:
        wanted += [*TEST_REQUIREMENTS, *pack_requirements(root / "benchmarks" / "speed")]
    install(python, wanted, root / ".venv" / "purecc-installed.json")
    return Host(python, tree)


def make_venv(folder: Path) -> Path:
    """Return the interpreter of the virtual environment `folder`, making it when it is not there or broken."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if python.exists() and subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode == 0:
        return python
    say(f"Making a virtual environment in {folder}")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        venv.create(folder, with_pip=True, symlinks=os.name != "nt")
    except subprocess.CalledProcessError:  # Debian's python3 without python3-venv has no ensurepip
        venv.create(folder, with_pip=False, clear=True, symlinks=os.name != "nt")
        pip([sys.executable, "-m", "pip", "--python", python], ["pip"])
    return python


def host_requirements(tree: Path) -> list[str]:
    """Return what a ComfyUI tree says it needs, less torch (which has its own step) and what it boots without."""
    wanted = []
    for line in (tree / "requirements.txt").read_text(encoding="utf-8").splitlines():
        line = line.split("#")[0].strip()
        name = re.split(r"[\s<>=!~\[;]", line)[0].lower()
        if line and name not in LEFT_OUT:
            wanted.append(REPLACED.get(name, line))
    return wanted


def pack_requirements(root: Path = ROOT) -> list[str]:
    """Return the lines of a folder's requirements.txt, by default the pack's own."""
    lines = (root / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def install(python: Path, wanted: list[str], stamp: Path) -> None:
    """Install torch, its companions and `wanted`, then note in `stamp` what was installed; skip what it notes."""
    done = read_stamp(stamp)
    missing = [line for line in ["torch", *wanted] if line not in done]
    if not missing:
        return
    started = time.monotonic()
    if "torch" in missing:
        install_torch(python)
    say(f"Installing {len(missing)} packages of ComfyUI, the pack and its tests")
    # torch stands in the line so that pip keeps the one that is there
    pip([python, "-m", "pip"], [*(line for line in missing if line != "torch"), "torch"])
    mend(python)
    stamp.write_text(json.dumps({"installed": sorted({*done, *missing})}, indent=1), encoding="utf-8")
    say(f"Installed in {time.monotonic() - started:.0f} s")


def read_stamp(stamp: Path) -> set[str]:
    """Return the requirement lines that `stamp` notes as installed; none when it is absent or unreadable."""
    try:
        return set(json.loads(stamp.read_text(encoding="utf-8"))["installed"])
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def install_torch(python: Path) -> None:
    """Install torch and its companions: the default build beside an NVIDIA GPU, else a CPU build."""
    command = [python, "-m", "pip"]
    if serving.has_nvidia() or sys.platform == "darwin":
        say("Installing torch, torchvision and torchaudio")
        pip(command, ["torch", "torchvision", "torchaudio"])
        return
    say("Installing torch for the CPU")
    if answers(f"{CPU_TORCH_INDEX}/torch/"):
        pip(command, [*CPU_TORCH, *TORCH_COMPANIONS, "--index-url", CPU_TORCH_INDEX])
    else:
        pip(command, list(CPU_TORCH))
        pip(command, ["--no-deps", *TORCH_COMPANIONS])


def answers(url: str, timeout: float = 5.0) -> bool:
    """Whether an address can be reached."""
    try:
        with urllib.request.urlopen(url, timeout=timeout):
            return True
    except (urllib.error.URLError, OSError):
        return False


def pip(command: list, arguments: list[str]) -> None:
    """Run `pip install`; raise HostError with what to look at when it fails."""
    quiet = ["--disable-pip-version-check", "--progress-bar", "off", "-qq"]
    line = [*map(str, command), "install", *quiet, *arguments]
    if subprocess.run(line).returncode:
        raise HostError(f"pip failed (see its message above). To repeat it:\n  {subprocess.list2cmdline(line)}")


def mend(python: Path) -> None:
    """Make torchvision and torchaudio importable beside a CPU torch, each only after its import failed.

    Both exist as CUDA-linked builds in places where torch is a CPU build. Their compiled parts are then of no use, and
    the host uses none of them on this path. Only this environment's own copies are changed.
    """
    mended = False
    for name in ("torchvision", "torchaudio"):
        if imports(python, name):
            continue
        packages = site_packages(python)
        if name == "torchvision":
            (packages / "torchvision" / "_meta_registrations.py").write_text("", encoding="utf-8")
        else:
            for library in (packages / "torchaudio" / "lib").glob("*.so"):
                library.unlink()
        mended = True
        if not imports(python, name):
            raise HostError(f"{name} cannot be imported in {packages}. Delete .venv and run this again.")
    if mended:
        say("torchvision or torchaudio was built for CUDA: their compiled parts are switched off in .venv")


def imports(python: Path, name: str) -> bool:
    """Whether an interpreter can import a module."""
    return subprocess.run([python, "-c", f"import {name}"], capture_output=True).returncode == 0


def site_packages(python: Path) -> Path:
    """Return the folder of an interpreter's packages."""
    code = "import sysconfig; print(sysconfig.get_path('platlib'))"
    return Path(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip())


def main() -> None:
    """Prepares the host and serves until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Get ComfyUI, link this pack into it and start it.")
    parser.add_argument("--comfyui", type=Path, help="a ComfyUI folder to use (read only; run by this pack's .venv)")
    parser.add_argument("--port", type=int, default=8188)
    options = parser.parse_args()
    host = prepare(options.comfyui)
    base = CACHE / "base"
    serving.link_pack(base)
    with serving.Server(host.python, host.comfyui, base, options.port) as server:
        say(f"ComfyUI answers at {server.address} (Ctrl-C ends it)")
        server.wait()
        say(f"ComfyUI ended. {server.tail()}")


if __name__ == "__main__":
    try:
        main()
    except (HostError, source.SourceError, serving.ServerError) as error:
        sys.exit(f"{error}")
    except KeyboardInterrupt:
        sys.exit(130)
