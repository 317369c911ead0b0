"""The settings of both training nodes for going on with a run or an adapter."""

from __future__ import annotations

from comfy_api.latest import io

from ..purecc.host.training.resuming import MODES
from .settings import Setting, Table
from .types import Adapter, Extractor

RESUME: Table = [
    Setting(
        io.Combo.Input(
            "resume",
            options=list(MODES),
            optional=True,
            advanced=True,
            tooltip="Go on with a run of this node that was cancelled or broken off. ask: the page asks before it "
            "queues; a prompt that no page queues starts anew. auto: go on without asking. never: start anew.",
        ),
        "resuming.mode",
    ),
    Setting(
        io.Float.Input(
            "state_every",
            default=5.0,
            min=0.0,
            max=1440.0,
            step=1.0,
            round=0.001,
            optional=True,
            advanced=True,
            tooltip="Save the state of the run every N minutes, and when it is cancelled or fails, in "
            "user/__purecc/states. It takes three to four times the adapter's size, and at most 1 % of the time. It is "
            "deleted when the run ends well. 0 disables it.",
        ),
        "resuming.every",
    ),
    Setting(
        io.Boolean.Input(
            "keep_state",
            default=False,
            optional=True,
            advanced=True,
            tooltip="Keep the state after the last step too, so that train_on later goes on exactly where this "
            "training ended. The states of the latest 20 adapters are kept.",
        ),
        "resuming.keep",
    ),
]

CACHE_TOOLTIP = (
    "Keep {what} that the base model draws in user/__purecc/drawn, so that a later run with the same model and images "
    "does not draw them again. At most 1 GB is kept, for 60 days after the last use."
)
CACHE = Setting(
    io.Boolean.Input(
        "cache", default=True, optional=True, advanced=True, tooltip=CACHE_TOOLTIP.format(what="pool images and masks")
    ),
    "memory.cache",
)

TRAIN_ON = (
    "{kind} to train for more steps, as many as steps says, instead of a fresh one. Exact if its state was kept "
    "(keep_state) and the settings are the same; otherwise its weights are the start. The node says which."
)
"""Tooltip of `train_on`."""

RESUME_STAGE_1: Table = [
    *RESUME,
    Extractor.Input("train_on", optional=True, tooltip=TRAIN_ON.format(kind="Extractor")),
]
RESUME_STAGE_2: Table = [
    *RESUME,
    Adapter.Input("train_on", optional=True, tooltip=TRAIN_ON.format(kind="Adapter")),
    CACHE,
]
"""Last on the nodes, so that workflows saved before these settings existed still fit."""
