"""Settle the settings that a preset leaves to the model's family and the method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from comfy.model_patcher import ModelPatcher

from ...method.recipe import Recipe
from ..families import family_of
from ..messages import Message

CUSTOM = "custom"
EMBEDDING_RATE = 5.0
"""The embedding's learning rate over that of the LoRA, as measured for the method anchored on PureCC Tiny."""


@dataclass(frozen=True)
class Preset:
    """What a preset sets.

    Attributes:
        steps: of the training; the front end fills them in, and they can be changed there.
        rank: of the LoRA.
        batch: samples a step, or None for what suits the model.
        rate: learning rate of LoRA and embedding, or None for what suits the model and the method.
        schedule: of the learning rate.
    """

    steps: int
    rank: int
    batch: int | None = None
    rate: float | None = None
    schedule: str = "cosine"


PRESETS = {
    "quick look": Preset(steps=100, rank=8, schedule="constant"),
    "balanced": Preset(steps=400, rank=8),
    "strong": Preset(steps=800, rank=16),
    "paper": Preset(steps=400, rank=4, batch=2, rate=1e-4, schedule="constant"),
}


def preset_values(name: str, model: ModelPatcher, recipe: Recipe) -> tuple[dict[str, Any], Message]:
    """Return what a preset sets, by the names of the node's inputs, and a note that says it.

    Args:
        name: a key of PRESETS.
        model: MODEL to train.
        recipe: the method.

    Raises:
        ValueError: there is no such preset, or the model cannot be trained.
    """
    if name not in PRESETS:
        raise ValueError(f"preset is {name!r}. Choose one of: {', '.join([CUSTOM, *PRESETS])}.")
    preset, family = PRESETS[name], family_of(model)
    usual = family.usual(model.model.diffusion_model)
    rate = usual.rate * recipe.rate_factor if preset.rate is None else preset.rate
    embedding = EMBEDDING_RATE * rate if preset.rate is None else preset.rate
    values = {
        "batch_size": preset.batch or usual.batch,
        "learning_rate": rate,
        "embedding_learning_rate": embedding,
        "rank": preset.rank,
        "schedule": preset.schedule,
    }
    said = {"preset": name, "family": family.name, "batch": values["batch_size"], "rank": preset.rank}
    rates = {"rate": f"{rate:g}", "embedding": f"{embedding:g}", "schedule": preset.schedule}
    return values, Message("note_preset", said | rates)
