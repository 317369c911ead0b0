"""What a quickstart run made: its pictures and adapter files, collected in one folder with a summary.json."""

import json
import shutil
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = "purecc/"  # the start of the file name prefix of every picture that counts; what follows says what it shows
REPORT = "purecc.report"


def read_header(path: Path) -> dict:
    """Return the header of a safetensors file: 8 bytes of its length, little-endian, then JSON."""
    with path.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        return json.loads(file.read(size))


def reports(folder: Path, since: float) -> dict[Path, dict]:
    """Return the training reports of the adapters in `folder` that were written after `since` (seconds, Unix time)."""
    found = {}
    for path in sorted(folder.glob("*.safetensors"), key=lambda path: path.stat().st_mtime):
        about = read_header(path).get("__metadata__", {})
        if path.stat().st_mtime >= since and REPORT in about:
            found[path] = json.loads(about[REPORT])
    return found


def pictures(prompt: Mapping, outputs: Mapping, output: Path) -> dict[str, list[Path]]:
    """Return the image files of a run by what they show, found by the file name prefix of the node that saved them.

    Args:
        prompt: the API-format prompt.
        outputs: {node id: ui output} of the server.
        output: ComfyUI's output folder.
    """
    found: dict[str, list[Path]] = {}
    for node in sorted(outputs, key=list(prompt).index):
        prefix = str(prompt[node]["inputs"].get("filename_prefix", ""))
        if prefix.startswith(FOLDER):
            images = [output / one["subfolder"] / one["filename"] for one in outputs[node].get("images", [])]
            found.setdefault(prefix.removeprefix(FOLDER), []).extend(images)
    return found


def collect(
    target: Path, root: Path, images: Mapping[str, list[Path]], adapters: Mapping[Path, dict], about: dict
) -> dict:
    """Copy everything into `target`, write its summary.json and return that.

    Args:
        target: emptied first.
        root: what the paths in the summary are relative to.
        images: kind -> files.
        adapters: LoRA file -> training report; an embedding of the same name in ../embeddings goes with it.
        about: further entries.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)

    def take(file: Path, name: str) -> str:
        return Path(shutil.copy2(file, target / name)).relative_to(root).as_posix()

    summary: dict[str, Any] = {"images": {}, "adapters": {}, "stages": {}}
    for kind, files in images.items():
        summary["images"][kind] = [take(file, f"{kind}_{i}{file.suffix}") for i, file in enumerate(files, 1)]
    for file, report in adapters.items():
        parts = {"lora": take(file, f"{file.stem}.lora.safetensors")}
        embedding = file.parent.parent / "embeddings" / file.name
        if embedding.is_file():
            parts["embedding"] = take(embedding, f"{file.stem}.embedding.safetensors")
        summary["adapters"][file.stem] = parts
        summary["stages"][report["stage"]] = {
            key: report[key] for key in ("steps", "seconds", "losses", "lambdas", "seed")
        }
    summary |= about
    (target / "summary.json").write_text(json.dumps(summary, indent=1, ensure_ascii=False), encoding="utf-8")
    return summary
