"""Resumable training state: written atomically, so that a stop at any time leaves a whole file."""

from __future__ import annotations

from pathlib import Path

import torch


def save_state(path: Path, state: dict) -> None:
    """Write `state` to `path` in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


def load_state(path: Path) -> dict | None:
    """The state at `path`, or None if there is none."""
    return torch.load(path, map_location="cpu", weights_only=True) if path.is_file() else None
