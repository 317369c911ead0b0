"""Check and pack the pack with the Registry's own tool, and write who publishes it into pyproject.toml.

    python3 scripts/registry.py
    python3 scripts/registry.py --repository https://github.com/OWNER/NAME --publisher ID

The first form validates what would be published and leaves the archive in build/registry. The second first writes the
address, the icon, the banner and the publisher; the Registry wants them as addresses, which only the owner knows. It
publishes nothing: that is `comfy node publish`, with the owner's key.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import host

ROOT = host.ROOT
FOLDER = ROOT / "build" / "registry"
# Later versions bring a copy of ffmpeg for what is not asked of them here.
VALIDATOR = "comfy-cli==1.7.2"
PASSED = "All validation checks passed"


class RegistryError(RuntimeError):
    """The pack cannot be published as it is; the message says why."""


@dataclass(frozen=True)
class Checked:
    """What the Registry's tool says of the pack, and what it would upload."""

    says: str
    archive: Path

    @property
    def files(self) -> list[str]:
        """The paths in the archive, sorted."""
        with zipfile.ZipFile(self.archive) as archive:
            return sorted(archive.namelist())


def get_validator(folder: Path = FOLDER) -> Path:
    """Return the Registry's command line tool, in an environment of its own, made on the first call."""
    python = host.make_venv(folder / "venv")
    stamp = folder / "installed.txt"
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != VALIDATOR:
        host.say(f"Installing {VALIDATOR}, the Registry's tool")
        host.pip([python, "-m", "pip"], [VALIDATOR])
        stamp.write_text(VALIDATOR, encoding="utf-8")
    return python.parent / ("comfy.exe" if os.name == "nt" else "comfy")


def check(folder: Path = FOLDER, root: Path = ROOT) -> Checked:
    """Validate and pack a copy of `root`; the archive is left in `folder`.

    Raises:
        RegistryError: the tool refuses the pack, or warns of something.
        host.HostError: the tool could not be installed.
    """
    comfy = get_validator(folder)
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "purecc"
        shutil.copytree(root, copy, ignore=ignored(root))
        output = _run(comfy, "validate", copy)
        if PASSED not in output or "warning" in output.lower():
            raise RegistryError(f"The Registry's tool complains:\n{output}")
        _run(comfy, "pack", copy)
        shutil.move(copy / "node.zip", folder / "node.zip")
    return Checked(output, folder / "node.zip")


def ignored(root: Path):
    """Return what shutil.copytree leaves out: what git ignores, and git's own folder."""
    lines = (root / ".gitignore").read_text(encoding="utf-8").split()
    anywhere = shutil.ignore_patterns(".git", *(line.strip("/") for line in lines if not line.startswith("/")))
    on_top = {line.strip("/") for line in lines if line.startswith("/")}
    return lambda folder, names: anywhere(folder, names) | (on_top & set(names) if Path(folder) == root else set())


def _run(comfy: Path, command: str, folder: Path) -> str:
    """Return the output of `comfy node COMMAND`; its settings go to the folder beside the pack's."""
    environment = os.environ | {"HOME": str(folder.parent), "USERPROFILE": str(folder.parent), "RUFF_NO_CACHE": "true"}
    line = [str(comfy), "--skip-prompt", "node", command]
    done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        raise RegistryError(f"`comfy node {command}` failed:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def fill(text: str, repository: str, publisher: str) -> str:
    """Return the pyproject.toml `text` with a repository's address on GitHub and a publisher in it.

    Raises:
        RegistryError: the address is not one of a GitHub repository, or the publisher is no identifier.
    """
    found = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(\.git)?/?", repository)
    if not found:
        raise RegistryError(f"{repository!r} is not the address of a GitHub repository, https://github.com/OWNER/NAME.")
    if not re.fullmatch(r"[A-Za-z][\w-]*", publisher):
        raise RegistryError(f"{publisher!r} is no publisher id: letters, digits, - and _, as on registry.comfy.org.")
    address, raw = f"https://github.com/{found[1]}", f"https://raw.githubusercontent.com/{found[1]}/main/docs"
    values = {"Repository": address, "Documentation": f"{address}/blob/main/README.md", "Issues": f"{address}/issues"}
    values |= {"PublisherId": publisher, "Icon": f"{raw}/icon.png", "Banner": f"{raw}/banner.png"}
    for key, value in values.items():
        text = re.sub(rf"^(# )?{key} = .*$", f'{key} = "{value}"', text, flags=re.MULTILINE)
    return text


def main() -> int:
    """Write what is given, then check and pack."""
    parser = argparse.ArgumentParser(description="Validate and pack this pack as the ComfyUI Registry does.")
    parser.add_argument("--repository", help="https://github.com/OWNER/NAME, to be written into pyproject.toml")
    parser.add_argument("--publisher", help="the publisher's id on registry.comfy.org, to be written beside it")
    options = parser.parse_args()
    if bool(options.repository) != bool(options.publisher):
        parser.error("--repository and --publisher belong together.")
    if options.repository:
        project = ROOT / "pyproject.toml"
        filled = fill(project.read_text(encoding="utf-8"), options.repository, options.publisher)
        project.write_text(filled, encoding="utf-8")
    checked = check()
    print(checked.says.strip())
    size = checked.archive.stat().st_size / 2**20
    print(f"{checked.archive}: {len(checked.files)} files, {size:.1f} MB")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RegistryError, host.HostError) as error:
        sys.exit(f"{error}")
