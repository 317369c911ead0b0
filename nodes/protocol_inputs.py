"""Inputs that the nodes which draw with several models, or measure what they drew, have in common."""

from __future__ import annotations

import comfy.samplers
from comfy_api.latest import io

from ..purecc.host.drawing import Sampling


def base_model() -> list[io.Input]:
    """Inputs of the model without the concept."""
    return [
        io.Model.Input("model", tooltip="The base model, without the concept."),
        io.Clip.Input("clip", tooltip="The base model's text encoders."),
    ]


def two_models() -> list[io.Input]:
    """Inputs of a base model and what was made from it."""
    return [
        *base_model(),
        io.Model.Input("customised_model", tooltip="The model with the concept: from Apply Adapter or a LoRA loader."),
        io.Clip.Input(
            "customised_clip", tooltip="The text encoders that know the concept: from Apply Adapter or a LoRA loader."
        ),
    ]


def prompts(default: str) -> io.Input:
    """The input of what is drawn."""
    return io.String.Input(
        "prompts",
        multiline=True,
        default=default,
        tooltip="One a line, the concept marked by [v] before its class word. Prompts without [v] are drawn too, and "
        "show what happened to the rest of the model.",
    )


def concept() -> list[io.Input]:
    """Inputs of how prompts speak of the concept."""
    return [
        io.String.Input(
            "class_word",
            default="robot",
            tooltip="What the concept is one of, as the prompts spell it. For a style usually 'style'.",
        ),
        io.Combo.Input(
            "kind",
            options=["instance", "style"],
            tooltip="How [v] stands in the prompts: 'a [v] robot' (instance), 'a house, in [v] style' (style).",
        ),
    ]


def trigger() -> io.Input:
    """The input of what calls the concept."""
    return io.String.Input(
        "trigger",
        default="embedding:my_concept",
        tooltip="What stands for [v] in the customised model's prompts: embedding:NAME for an adapter of this pack, or "
        "the trigger word of any other LoRA.",
    )


def size(default: int = 1024) -> list[io.Input]:
    """Inputs of a picture's size."""
    return [
        io.Int.Input(side, default=default, min=64, max=4096, step=16, tooltip=f"The pictures' {side} in pixels.")
        for side in ("width", "height")
    ]


def sampling_inputs(seeds: int, least: int = 1) -> list[io.Input]:
    """Inputs of how pictures are drawn, see `sampling_of`.

    Args:
        seeds: how many by default.
        least: how many at least.
    """
    return [
        io.Int.Input(
            "seed",
            default=42,
            min=0,
            max=2**48,
            control_after_generate=io.ControlAfterGenerate.fixed,
            tooltip="The first seed; the others follow it.",
        ),
        io.Int.Input(
            "seeds", default=seeds, min=least, max=64, tooltip="How many seeds. Each prompt is drawn at all of them."
        ),
        io.Int.Input("steps", default=28, min=1, max=1000, tooltip="Sampling steps."),
        io.Float.Input("cfg", default=4.5, min=0.0, max=100.0, step=0.1, tooltip="Classifier-free guidance."),
        io.Combo.Input(
            "sampler_name", options=comfy.samplers.KSampler.SAMPLERS, tooltip="As in KSampler; euler for SD3.5."
        ),
        io.Combo.Input(
            "scheduler",
            options=comfy.samplers.KSampler.SCHEDULERS,
            default="sgm_uniform",
            tooltip="As in KSampler; sgm_uniform for SD3.5.",
        ),
        *size(),
        io.String.Input(
            "negative", default="", advanced=True, tooltip="The negative prompt of all models; usually empty."
        ),
        io.Int.Input(
            "batch_size",
            default=4,
            min=1,
            max=64,
            advanced=True,
            tooltip="Seeds drawn at a time. Fewer need less memory; the pictures are the same.",
        ),
    ]


def sampling_of(values: dict) -> tuple[Sampling, range]:
    """(how to draw, the seeds) from the values of `sampling_inputs`."""
    names = ("steps", "cfg", "sampler_name", "scheduler", "width", "height", "negative", "batch_size")
    return Sampling(*(values[n] for n in names)), range(values["seed"], values["seed"] + values["seeds"])


def encoders(text: str = "clip") -> list[io.Input]:
    """Inputs of what compares pictures with references and prompts; `text` names that of CLIP's text half."""
    return [
        io.ClipVision.Input(
            "clip_vision",
            optional=True,
            tooltip="The picture half of a CLIP, from Load CLIP Vision: for CLIP-I and CLIP-T.",
        ),
        io.Clip.Input(
            text,
            optional=True,
            tooltip="The text half of the same CLIP, from Load CLIP with the same file: for CLIP-T. The files "
            "clip_l.safetensors that go round lack its projection and are refused.",
        ),
        io.ClipVision.Input("dino", optional=True, tooltip="DINOv2 large or giant, from Load CLIP Vision: for DINO."),
    ]
