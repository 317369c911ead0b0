"""The setting of both training nodes for the weight of the loss over the timesteps."""

from __future__ import annotations

from comfy_api.latest import io

from ..purecc.method.path import NATIVE, WEIGHTINGS
from .settings import Setting, Table

LOSS: Table = [
    Setting(
        io.Combo.Input(
            "loss_weighting",
            options=list(WEIGHTINGS),
            default=NATIVE,
            optional=True,
            advanced=True,
            tooltip="Weight of the loss over the timesteps. native is that of the model's own training. min-SNR (γ = 5)"
            " gives nearly clean images less weight, for ε and v-prediction models such as SDXL. Flow models refuse "
            "it.",
        ),
        "job.weighting",
        lambda values: values.get("loss_weighting") or NATIVE,
    ),
]
"""Last on the nodes, so that workflows saved before it existed still fit."""
