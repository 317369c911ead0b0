"""The inputs that set many others: a preset, and a Training Settings node."""

from __future__ import annotations

from comfy_api.latest import io

from ..purecc.host.training.presets import CUSTOM, PRESETS
from .settings import Table
from .types import TrainingSettings

LAST: Table = [
    TrainingSettings.Input(
        "settings", optional=True, tooltip="Rarely needed settings, from Training Settings. They replace those here."
    ),
    io.Combo.Input(
        "preset",
        options=[CUSTOM, *PRESETS],
        default=CUSTOM,
        optional=True,
        extra_dict={"purecc_steps": {name: preset.steps for name, preset in PRESETS.items()}},
        tooltip="Settings that suit the model's family and the method: batch_size, learning rates, rank and schedule; "
        "choosing it here also fills in steps. The run says what it set. quick look: 100 steps, to check images and "
        "captions. balanced: 400. strong: 800 and twice the rank, for a concept that comes out too weak. paper: the "
        "paper's settings. custom: all settings as they stand.",
    ),
]
"""Last on the nodes, because they came last: workflows saved before still fit."""
