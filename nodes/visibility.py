"""Tell the front end which inputs of a training node to show, and when; see web/js/fold.js."""

from __future__ import annotations

from collections.abc import Sequence

from comfy_api.latest import io

from ..purecc.host.training.presets import CUSTOM
from ..purecc.method.methods import ANCHORED, CLASS_IMAGES, PAPER
from ..purecc.training.companions import LEAVE_OUT

SHOWN = ("preset", "name", "steps", "method", "learning_rate", "rank", "anchor_weight", "eta", "scale", "fixed_scale")
"""Inputs that are not behind "more settings", in the order in which the node shows them."""

_PRIOR = "prior preservation"
_ANCHORED = [ANCHORED, CLASS_IMAGES]
_CUSTOM = {"preset": [CUSTOM]}
WHEN: dict[str, dict[str, list]] = {
    "learning_rate": _CUSTOM,
    "embedding_learning_rate": _CUSTOM,
    "batch_size": _CUSTOM,
    "rank": _CUSTOM,
    "schedule": _CUSTOM,
    "anchor_weight": {"method": _ANCHORED},
    "mask": {"method": [ANCHORED]},
    "pool_prompts": {"method": _ANCHORED},
    "places": {"method": _ANCHORED},
    "companion": {"method": _ANCHORED},
    "size": {"method": _ANCHORED},
    "companion_words": {"method": _ANCHORED, "companion": [LEAVE_OUT]},
    "pool_images": {"method": [*_ANCHORED, _PRIOR]},
    "class_grounds": {"method": [CLASS_IMAGES]},
    "class_styles": {"method": [CLASS_IMAGES]},
    "eta": {"method": [PAPER, _PRIOR, "DOP", "BPP"]},
    "scale": {"method": [PAPER]},
    "fixed_scale": {"method": [PAPER], "scale": ["fixed"]},
    "v_original": {"method": [PAPER]},
}
"""Inputs that are only shown for some values of other inputs; others would not use them."""


def mark(inputs: Sequence[io.Input], replaced: Sequence[str]) -> list[io.Input]:
    """Add to each widget what the front end needs to know of it, and return them.

    Args:
        inputs: of a training node.
        replaced: ids of inputs that a connected Training Settings node sets.
    """
    for entry in inputs:
        if not isinstance(entry, io.WidgetInput):
            continue
        when = {**WHEN.get(entry.id, {}), **({"settings": [False]} if entry.id in replaced else {})}
        hints = {"shown": SHOWN.index(entry.id) if entry.id in SHOWN else None, "when": when}
        entry.extra_dict = {**(entry.extra_dict or {}), "purecc": hints}
    return list(inputs)
