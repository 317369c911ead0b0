"""Inputs that both training nodes have, and what they become."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..purecc.branches import TARGETS, LoraSpec
from ..purecc.fitting import AUTO
from ..purecc.host.field import PRECISIONS
from ..purecc.host.planning import CHECKPOINTING
from ..purecc.host.saving import Saving
from ..purecc.measure import UNRELATED_PROMPTS
from ..purecc.settings import Settings

SEED_NOTE = (
    "Of noise, noise levels, order and the LoRA's start. The same seed on the same machine gives the same result."
)


def common(name: str) -> list[io.Input]:
    """The inputs that are always shown."""
    return [
        io.String.Input(
            "name",
            default=name,
            tooltip="Of the files, and of the embedding: prompts call the concept by embedding:NAME. Letters, "
            "digits, - and _.",
        ),
        io.Int.Input(
            "steps", default=400, min=1, max=100_000, tooltip="Optimiser steps. The paper trains 400 in each stage."
        ),
        io.Int.Input(
            "batch_size", default=2, min=1, max=64, tooltip="Samples a step. More is smoother and takes more memory."
        ),
        io.Float.Input(
            "learning_rate",
            default=1e-4,
            min=1e-7,
            max=1.0,
            step=1e-6,
            round=1e-7,
            tooltip="Of the LoRA. The paper's is 1e-4.",
        ),
        io.Float.Input(
            "embedding_learning_rate",
            default=1e-4,
            min=0.0,
            max=1.0,
            step=1e-6,
            round=1e-7,
            tooltip="Of the concept's learned vectors. 0 freezes them. The paper's is 1e-4.",
        ),
        io.Int.Input("rank", default=4, min=1, max=256, tooltip="Rank of the LoRA. The paper's is 4."),
        io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, control_after_generate=True, tooltip=SEED_NOTE),
    ]


def embeddings() -> list[io.Input]:
    """Which kinds of concept embedding are learned."""
    return [
        io.Boolean.Input(
            "input_token",
            default=True,
            tooltip="Learn a vector for CLIP-L and CLIP-G that any stock prompt can use as embedding:NAME.",
        ),
        io.Boolean.Input(
            "layer_wise",
            default=False,
            tooltip="Learn a vector for every block of the model, as in the paper (7). Such an adapter needs the Apply "
            "Adapter node; stock LoRA loaders leave these vectors out.",
        ),
    ]


def rare() -> list[io.Input]:
    """The inputs that are folded away."""
    return [
        io.Float.Input(
            "alpha",
            default=0.0,
            min=0.0,
            max=1024.0,
            step=0.5,
            advanced=True,
            tooltip="The LoRA's scale is alpha / rank. 0: alpha = rank.",
        ),
        io.Combo.Input(
            "target_layers",
            options=[AUTO, *TARGETS],
            advanced=True,
            tooltip="The layers that get a LoRA. auto: attention, as in the paper; with the method anchored attention "
            "and mlp for a thing, modulation for a style.",
        ),
        io.Int.Input("accumulation", default=1, min=1, max=256, advanced=True, tooltip="Batches an optimiser step."),
        io.Combo.Input(
            "schedule",
            options=["constant", "cosine", "linear"],
            advanced=True,
            tooltip="How the learning rates go on after the warmup; cosine and linear end at zero.",
        ),
        io.Int.Input(
            "warmup_steps",
            default=0,
            min=0,
            max=10_000,
            advanced=True,
            tooltip="Steps in which the rates rise from zero.",
        ),
        io.Float.Input(
            "weight_decay",
            default=1e-4,
            min=0.0,
            max=1.0,
            step=1e-5,
            round=1e-6,
            advanced=True,
            tooltip="AdamW's, on the LoRA.",
        ),
        io.Float.Input(
            "clip_norm",
            default=1.0,
            min=0.0,
            max=100.0,
            step=0.1,
            advanced=True,
            tooltip="The largest norm of the gradient. 0: no limit.",
        ),
        io.Combo.Input(
            "timesteps",
            options=["logit_normal", "uniform"],
            advanced=True,
            tooltip="How noise levels are drawn: more from the middle, or evenly.",
        ),
        io.Float.Input(
            "timestep_shift",
            default=3.0,
            min=0.1,
            max=20.0,
            step=0.1,
            advanced=True,
            tooltip="Above 1 moves the noise levels towards noise. Stable Diffusion 3 was trained with 3.",
        ),
        io.Combo.Input(
            "precision",
            options=list(PRECISIONS),
            advanced=True,
            tooltip="What the frozen model computes in. auto: as it was loaded, but bfloat16 in place of float16 where "
            "the GPU has it, since gradients can vanish in float16. LoRA and vectors are float32 always.",
        ),
        io.Combo.Input(
            "gradient_checkpointing",
            options=list(CHECKPOINTING),
            advanced=True,
            tooltip="How many blocks are computed twice, to keep little: much less memory, up to a third more time. "
            "auto: as few as the GPU's free memory allows, none on the CPU; the node says how many. off: none. "
            "all: every block.",
        ),
        io.Boolean.Input(
            "deterministic",
            default=False,
            advanced=True,
            tooltip="The same seed gives the same adapter on a GPU too, somewhat slower. On the CPU it always does.",
        ),
        io.Int.Input(
            "drift_every",
            default=0,
            min=0,
            max=10_000,
            advanced=True,
            tooltip="Steps between two measurements of drift: how far the model moved on prompts that have nothing to "
            "do with the concept. 0: as often, and on as many of drift_prompts, as costs at most 3 % of the "
            "training; at least on one, after the last step.",
        ),
        io.String.Input(
            "drift_prompts",
            default="\n".join(UNRELATED_PROMPTS),
            multiline=True,
            advanced=True,
            tooltip="Prompts, one a line, that have nothing to do with the concept: drift is measured on them. Empty: "
            "it is not measured.",
        ),
        io.Int.Input(
            "sample_every",
            default=50,
            min=0,
            max=10_000,
            advanced=True,
            tooltip="Steps between two sample pictures on the node, if a VAE is connected. 0: only when you press "
            "Sample now.",
        ),
        io.String.Input(
            "sample_prompt",
            default="",
            multiline=True,
            advanced=True,
            tooltip="Prompts of the sample pictures, one a line, with [v] for the concept; the base draws each without "
            "the concept beside it. Empty: the first caption.",
        ),
        io.String.Input(
            "trace_steps",
            default="",
            advanced=True,
            tooltip="Numbers of steps, such as 1, 100: all velocities, λ and losses of these steps are saved as "
            "safetensors in output/purecc/traces.",
        ),
        io.Vae.Input("vae", optional=True, tooltip="Draws the sample pictures. Training does not need it."),
    ]


def kept() -> list[io.Input]:
    """What is written while training goes on; last, so that workflows saved before there were any still fit."""
    return [
        io.Int.Input(
            "autosave_every",
            default=0,
            min=0,
            max=10_000,
            advanced=True,
            tooltip="Steps between two adapters that are saved of themselves, as NAME_step100 and so on, where Save "
            "Adapter saves. 0: none. They stay when you cancel.",
        ),
        io.Int.Input(
            "autosave_keep",
            default=3,
            min=1,
            max=1000,
            advanced=True,
            tooltip="How many of these are kept: the newest. Only files that this run saved of itself are deleted.",
        ),
        io.Float.Input(
            "best_drift",
            default=0.0,
            min=0.0,
            max=100.0,
            step=0.001,
            round=1e-6,
            advanced=True,
            tooltip="Saves the best so far as NAME_best: the lowest smoothed concept loss among the steps whose drift "
            "was measured (drift_every) and is at most this. 0: no.",
        ),
    ]


class TrainingNode(io.ComfyNode):
    """What both training nodes accept."""

    @classmethod
    def validate_inputs(cls, gradient_checkpointing: str | bool = CHECKPOINTING[0]) -> bool | str:
        """Checks the one input that workflows may hold in an older form."""
        chosen = _checkpointing(gradient_checkpointing)
        return chosen in CHECKPOINTING or f"{chosen!r} is none of {', '.join(CHECKPOINTING)}"


def _checkpointing(value: str | bool) -> str:
    """A choice; workflows that were saved when it was a switch hold a boolean."""
    return {True: "all", False: "off"}.get(value, value)


def settings(values: dict[str, Any]) -> Settings:
    """The loop's settings from a node's inputs."""
    return Settings(
        steps=values["steps"],
        batch=values["batch_size"],
        accumulation=values["accumulation"],
        lr=values["learning_rate"],
        embedding_lr=values["embedding_learning_rate"],
        schedule=values["schedule"],
        warmup=values["warmup_steps"],
        weight_decay=values["weight_decay"],
        clip=values["clip_norm"],
        density=values["timesteps"],
        shift=values["timestep_shift"],
        seed=values["seed"],
    )


def lora(values: dict[str, Any]) -> LoraSpec:
    """The LoRA's shape from a node's inputs."""
    return LoraSpec(values["rank"], values["alpha"] or float(values["rank"]), values["target_layers"])


def job_options(values: dict[str, Any]) -> dict[str, Any]:
    """The rest of a job from a node's inputs."""
    return {
        "name": values["name"],
        "lora": lora(values),
        "settings": settings(values),
        "input_token": values["input_token"],
        "layer_wise": values["layer_wise"],
        "precision": values["precision"],
        "checkpointing": _checkpointing(values["gradient_checkpointing"]),
        "deterministic": values["deterministic"],
        "drift_every": values["drift_every"],
        "drift_prompts": lines(values["drift_prompts"]),
        "sample_every": values["sample_every"] if values.get("vae") is not None else 0,
        "sample_prompts": lines(values["sample_prompt"]),
        "trace_steps": _steps(values["trace_steps"]),
    }


def run_options(values: dict[str, Any], node: type[io.ComfyNode]) -> dict[str, Any]:
    """Where a job runs, and what is written and drawn meanwhile."""
    return {
        "node_id": node.hidden.unique_id,
        "workflow": _workflow(node.hidden.extra_pnginfo),
        "vae": values.get("vae"),
        "saving": Saving(values["autosave_every"], values["autosave_keep"], values["best_drift"]),
    }


def _workflow(sent: dict | None) -> str | None:
    """The id of the workflow that the front end queued, from what it sends to be saved in pictures."""
    saved = (sent or {}).get("workflow")
    identity = saved.get("id") if isinstance(saved, dict) else None
    return identity if isinstance(identity, str) else None


def lines(text: str) -> tuple[str, ...]:
    """What stands on the lines of a text, empty ones left out."""
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _steps(text: str) -> frozenset[int]:
    parts = text.replace(",", " ").split()
    if not all(p.isdigit() and int(p) > 0 for p in parts):
        raise ValueError(f"trace_steps is {text!r}: give numbers of steps from 1, separated by commas.")
    return frozenset(int(p) for p in parts)
