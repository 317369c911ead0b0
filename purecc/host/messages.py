"""Name the texts that a run shows to people, by key and values; locales/LANGUAGE/main.json holds them."""

# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

_ENGLISH = Path(__file__).parents[2] / "locales" / "en" / "main.json"


class Phase(Enum):
    """The phases of a run, in order. The values are keys of the texts."""

    READ_CAPTIONS = "phase_read_captions"
    COPY_ENCODERS = "phase_copy_encoders"
    COPY_MODEL = "phase_copy_model"
    FIND_MASKS = "phase_find_masks"
    FIND_COMPANION = "phase_find_companion"
    SAMPLE_POOL = "phase_sample_pool"
    MEASURE_BASE = "phase_measure_base"
    TRY_PASS = "phase_try_pass"
    TRAIN = "phase_train"


@dataclass(frozen=True)
class Message:
    """A text by its key.

    Attributes:
        key: of the text in locales/LANGUAGE/main.json, under "purecc".
        values: fill the braces of the text: numbers, names, errors.
    """

    key: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the text in English."""
        return _english()[self.key].format(**self.values)

    def as_json(self) -> dict[str, Any]:
        """Return key, values and the English text, as routes and events carry them."""
        values = {name: v if isinstance(v, int | float) else str(v) for name, v in self.values.items()}
        return {"key": self.key, "values": values, "text": str(self)}


@functools.cache
def _english() -> dict[str, str]:
    return json.loads(_ENGLISH.read_text(encoding="utf-8"))["purecc"]
