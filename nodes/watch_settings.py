"""The settings of both training nodes for measuring, sampling and saving during training."""

from __future__ import annotations

from comfy_api.latest import io

from ..purecc.host.training.queue_checks import trace_steps
from ..purecc.training.drift import UNRELATED_PROMPTS
from .settings import Setting, Table, Values, lines


def _sample_every(values: Values) -> int:
    return 0 if values.get("vae") is None else values["sample_every"]


DRIFT: Table = [
    Setting(
        io.Int.Input(
            "drift_every",
            default=0,
            min=0,
            max=10_000,
            advanced=True,
            tooltip="Measure drift every N steps: how far the model has moved on prompts unrelated to the concept. 0 "
            "measures as often, and on as many drift_prompts, as costs at most 3 % of the training; at least one "
            "prompt after the last step.",
        ),
        "watch.drift_every",
    ),
    Setting(
        io.String.Input(
            "drift_prompts",
            default="\n".join(UNRELATED_PROMPTS),
            multiline=True,
            advanced=True,
            tooltip="Prompts for measuring drift, one per line, unrelated to the concept. If empty, drift is not "
            "measured.",
        ),
        "watch.drift_prompts",
        lambda values: lines(values["drift_prompts"]),
    ),
]

SAMPLES: Table = [
    Setting(
        io.Int.Input(
            "sample_every",
            default=50,
            min=0,
            max=10_000,
            advanced=True,
            tooltip="Generate samples on the node every N steps, if a VAE is connected. 0 generates them only when you "
            "press Sample now.",
        ),
        "watch.sample_every",
        _sample_every,
    ),
    Setting(
        io.String.Input(
            "sample_prompt",
            default="",
            multiline=True,
            advanced=True,
            tooltip="Prompts of the samples, one per line, with [v] for the concept. The base model generates each "
            "without the concept, for comparison. If empty, the first caption is used.",
        ),
        "watch.sample_prompts",
        lambda values: lines(values["sample_prompt"]),
    ),
]

TRACE: Table = [
    Setting(
        io.String.Input(
            "trace_steps",
            default="",
            advanced=True,
            tooltip="Save all velocities, λ and losses of these steps, such as 1, 100, as safetensors in "
            "output/purecc/traces. If empty, none are saved.",
        ),
        "watch.trace_steps",
        lambda values: trace_steps(values["trace_steps"]),
    ),
]

WATCH: Table = [
    *DRIFT,
    *SAMPLES,
    *TRACE,
    io.Vae.Input("vae", optional=True, tooltip="VAE that decodes the samples. Training does not need it."),
]

SAVING: Table = [
    Setting(
        io.Int.Input(
            "autosave_every",
            default=0,
            min=0,
            max=10_000,
            advanced=True,
            tooltip="Save an adapter every N steps, as NAME_step100 and so on, where Save Adapter saves. 0 disables "
            "it. The files stay when you cancel.",
        ),
        "saving.every",
    ),
    Setting(
        io.Int.Input(
            "autosave_keep",
            default=3,
            min=1,
            max=1000,
            advanced=True,
            tooltip="Number of autosaves to keep; older ones are deleted. Other files are never deleted.",
        ),
        "saving.keep",
    ),
    Setting(
        io.Float.Input(
            "best_drift",
            default=0.0,
            min=0.0,
            max=100.0,
            step=0.001,
            round=1e-6,
            advanced=True,
            tooltip="Save the best adapter so far as NAME_best: the lowest smoothed concept loss among steps with a "
            "measured drift (drift_every) of at most this value. 0 disables it.",
        ),
        "saving.best_drift",
    ),
]
"""Last on the nodes, so that workflows saved before these settings existed still fit."""
