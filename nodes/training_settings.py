"""What both training nodes have: how to train, in the order in which the nodes show it."""

from __future__ import annotations

from comfy_api.latest import io

from ..purecc.host.models.precision import PRECISIONS
from ..purecc.host.training.planning import CHECKPOINTING
from ..purecc.host.training.queue_checks import checkpointing
from ..purecc.network.lora import AUTO, TARGETS
from .settings import Setting, Table


def common(name: str) -> Table:
    """Return the settings that are always shown; `name` is the default name of the adapter."""
    return [
        Setting(
            io.String.Input(
                "name",
                default=name,
                tooltip="Name of the adapter and its files. Prompts call the concept by embedding:NAME, or by NAME "
                "alone as a trigger word (see concept_by). Use letters, digits, - and _.",
            ),
            "job.name",
        ),
        Setting(
            io.Int.Input(
                "steps",
                default=400,
                min=1,
                max=100_000,
                tooltip="Number of optimiser steps (paper: 400 in each stage).",
            ),
            "settings.steps",
        ),
        Setting(
            io.Int.Input(
                "batch_size",
                default=2,
                min=1,
                max=64,
                tooltip="Samples per step (paper: 2). A larger batch trains more smoothly and needs more memory.",
            ),
            "settings.batch",
        ),
        Setting(
            io.Float.Input(
                "learning_rate",
                default=1e-4,
                min=1e-7,
                max=1.0,
                step=1e-6,
                round=1e-7,
                tooltip="Learning rate of the LoRA (paper: 1e-4).",
            ),
            "settings.lr",
        ),
        Setting(
            io.Float.Input(
                "embedding_learning_rate",
                default=1e-4,
                min=0.0,
                max=1.0,
                step=1e-6,
                round=1e-7,
                tooltip="Learning rate of the concept's embedding vectors (paper: 1e-4). 0 freezes them.",
            ),
            "settings.embedding_lr",
        ),
        Setting(io.Int.Input("rank", default=4, min=1, max=256, tooltip="Rank of the LoRA (paper: 4)."), "lora.rank"),
        Setting(
            io.Int.Input(
                "seed",
                default=0,
                min=0,
                max=0xFFFFFFFFFFFFFFFF,
                control_after_generate=True,
                tooltip="Seed of noise, timesteps, order and LoRA initialisation. The same seed on the same machine "
                "gives the same result.",
            ),
            "settings.seed",
        ),
    ]


OPTIMISER: Table = [
    Setting(
        io.Float.Input(
            "alpha",
            default=0.0,
            min=0.0,
            max=1024.0,
            step=0.5,
            advanced=True,
            tooltip="Alpha of the LoRA, which is scaled by alpha / rank. 0 sets alpha to the rank.",
        ),
        "lora.alpha",
        lambda values: values["alpha"] or float(values["rank"]),
    ),
    Setting(
        io.Combo.Input(
            "target_layers",
            options=[AUTO, *TARGETS],
            advanced=True,
            tooltip="Layers that get a LoRA. auto uses attention, as in the paper; the method anchored uses attention "
            "and mlp for an instance, modulation for a style.",
        ),
        "lora.targets",
    ),
    Setting(
        io.Int.Input(
            "accumulation",
            default=1,
            min=1,
            max=256,
            advanced=True,
            tooltip="Batches per optimiser step. Raise it for a larger effective batch without more memory.",
        ),
        "settings.accumulation",
    ),
    Setting(
        io.Combo.Input(
            "schedule",
            options=["constant", "cosine", "linear"],
            advanced=True,
            tooltip="Course of the learning rates after the warmup. cosine and linear fall to zero.",
        ),
        "settings.schedule",
    ),
    Setting(
        io.Int.Input(
            "warmup_steps",
            default=0,
            min=0,
            max=10_000,
            advanced=True,
            tooltip="Steps in which the learning rates rise from zero. 0 disables the warmup.",
        ),
        "settings.warmup",
    ),
    Setting(
        io.Float.Input(
            "weight_decay",
            default=1e-4,
            min=0.0,
            max=1.0,
            step=1e-5,
            round=1e-6,
            advanced=True,
            tooltip="Weight decay of AdamW, on the LoRA only.",
        ),
        "settings.weight_decay",
    ),
    Setting(
        io.Float.Input(
            "clip_norm",
            default=1.0,
            min=0.0,
            max=100.0,
            step=0.1,
            advanced=True,
            tooltip="Maximum norm of the gradient. 0 disables clipping.",
        ),
        "settings.clip",
    ),
    Setting(
        io.Combo.Input(
            "timesteps",
            options=["logit_normal", "uniform"],
            advanced=True,
            tooltip="Distribution of the timesteps. logit_normal favours the middle; uniform treats all alike.",
        ),
        "settings.density",
    ),
    Setting(
        io.Float.Input(
            "timestep_shift",
            default=0.0,
            min=0.0,
            max=20.0,
            step=0.1,
            advanced=True,
            tooltip="Shift of the timesteps; above 1 favours high noise. 0 takes the model's own (3 for SD3).",
        ),
        "settings.shift",
        lambda values: values["timestep_shift"] or None,
    ),
]


MEMORY: Table = [
    Setting(
        io.Combo.Input(
            "precision",
            options=list(PRECISIONS),
            advanced=True,
            tooltip="Precision of the frozen model. auto keeps the precision it was loaded in, but uses bfloat16 "
            "instead of float16 on GPUs that support it, because gradients can vanish in float16, and for a bfloat16 "
            "file on processors that compute in it. The LoRA and the vectors are always float32.",
        ),
        "memory.precision",
    ),
    Setting(
        io.Combo.Input(
            "gradient_checkpointing",
            options=list(CHECKPOINTING),
            advanced=True,
            tooltip="Recompute blocks in the backward pass: much less memory, up to a third more time. auto recomputes "
            "as few as fit into free GPU memory, none on the CPU. off: none. all: every block.",
        ),
        "memory.checkpointing",
        lambda values: checkpointing(values["gradient_checkpointing"]),
    ),
    Setting(
        io.Boolean.Input(
            "deterministic",
            default=False,
            advanced=True,
            tooltip="Give the same adapter for the same seed on a GPU too, somewhat slower. The CPU always does.",
        ),
        "memory.deterministic",
    ),
]
