"""Send the references of a dataset to the browser: small images and texts."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import folder_paths
from comfy import model_management
from PIL import Image
from torch import Tensor

from ...sheets.canvas import image
from ...sheets.mask_overlay import overlay
from ..data.reference_sheet import MOST_CARDS
from ..data.references import Reference

SIDE = 384
"""Longest side of a small image, in pixels."""
FOLDER = "purecc"
"""Below the host's folder of temporary files."""


def cards(references: Sequence[Reference]) -> list[dict[str, Any]]:
    """Return what the browser shows of references, those with problems first if there are very many.

    Each has "image" and "mask", which name files as the host's /view does, or are None; "texts" (complete, base and
    target) or None; "caption", "problem", "remark"; and "place", where its caption can be saved, or "".
    """
    shown = sorted(references, key=lambda r: not r.problem)[:MOST_CARDS] if len(references) > MOST_CARDS else references
    run = secrets.token_hex(8)
    out = []
    for number, reference in enumerate(shown):
        model_management.throw_exception_if_processing_interrupted()
        out.append(_card(reference, f"{run}_{number}"))
    return out


def _card(reference: Reference, name: str) -> dict[str, Any]:
    cropped = reference.variants[0][0] if reference.variants else None
    mask = reference.masks[0] if reference.masks and cropped is not None else None
    texts = reference.texts
    return {
        "image": None if cropped is None else _saved(image(cropped), name),
        "mask": None if mask is None or cropped is None else _saved(image(_masked(cropped, mask)), f"{name}_mask"),
        "texts": None if texts is None else {k: getattr(texts, k) for k in ("complete", "base", "target")},
        "caption": reference.caption,
        "problem": reference.problem,
        "remark": reference.remark,
        "place": reference.place,
    }


def _masked(cropped: Tensor, mask: Tensor) -> Tensor:
    """Return an image [h, w, 3] dimmed outside its mask, in grey [1, h, w, 3]."""
    return overlay(cropped.cpu(), mask[..., 0].cpu())


def _saved(picture: Image.Image, name: str) -> dict[str, str]:
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    folder = Path(folder_paths.get_temp_directory()) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    picture.save(folder / f"{name}.jpg", "JPEG", quality=88)
    return {"filename": f"{name}.jpg", "subfolder": FOLDER, "type": "temp"}
