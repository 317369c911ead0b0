"""Write, read and compare the records of finished runs, with the commit that made them."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from pathlib import Path

import processors
import torch

ROOT = Path(__file__).resolve().parents[2]


def write(path: Path, record: dict) -> None:
    """Write a record at once or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def done(phase: str, folder: Path) -> dict[tuple[str, str, str, int], dict]:
    """Return the finished runs of a phase by (phase, concept, label, seed)."""
    path = folder / f"{phase}.jsonl"
    if not path.is_file():
        return {}
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {(phase, r["concept"], r["label"], r["seed"]): r for r in rows}


@functools.cache
def commit() -> str:
    """Return the commit of this checkout, with a + if code was changed since; empty where git does not know."""
    if not shutil.which("git"):
        return ""

    def git(*words: str) -> subprocess.CompletedProcess:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)

    found = git("rev-parse", "--short=12", "HEAD")
    changed = git("diff", "--quiet", "HEAD", "--", "*.py", "*.safetensors").returncode == 1
    return found.stdout.strip() + "+" * changed


def made() -> dict[str, str]:
    """Return what made a row: commit, torch and processor. Rows of two processors are not compared."""
    return {"commit": commit(), "torch": torch.__version__, "processor": processors.name()}


def distance(one: dict, other: dict) -> float:
    """Return the greatest difference between any figure that both records of a row have."""
    pairs = [
        (one["base"], other["base"]),
        *((one["curve"][s], other["curve"][s]) for s in one["curve"].keys() & other["curve"].keys()),
    ]
    return max(abs(a[name] - b[name]) for a, b in pairs for name in a.keys() & b.keys())
