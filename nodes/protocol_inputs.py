"""Inputs shared by the nodes that generate with several models, or measure their images."""

from __future__ import annotations

from comfy_api.latest import io

from ..purecc.host.evaluation.sampling import SAMPLERS, SCHEDULERS, Sampling


def base_model() -> list[io.Input]:
    """Return the inputs of the model without the concept."""
    return [
        io.Model.Input("model", tooltip="Base model, without the concept."),
        io.Clip.Input("clip", tooltip="Text encoders of the base model."),
    ]


def two_models() -> list[io.Input]:
    """Return the inputs of a base model and its customised model."""
    return [
        *base_model(),
        io.Model.Input("customised_model", tooltip="Model with the concept, from Apply Adapter or a LoRA loader."),
        io.Clip.Input(
            "customised_clip", tooltip="Text encoders that know the concept, from Apply Adapter or a LoRA loader."
        ),
    ]


def prompts(default: str) -> io.Input:
    """Return the input of the prompts."""
    return io.String.Input(
        "prompts",
        multiline=True,
        default=default,
        tooltip="Prompts, one per line, with [v] before the class word. Prompts without [v] show how the rest of the "
        "model changed.",
    )


def concept() -> list[io.Input]:
    """Return the inputs that say how prompts name the concept."""
    return [
        io.String.Input(
            "class_word",
            default="robot",
            tooltip="Class of the concept, as spelled in the prompts. For a style usually 'style'.",
        ),
        io.Combo.Input(
            "kind",
            options=["instance", "style"],
            tooltip="Form of the prompts. instance: 'a [v] robot'. style: 'a house, in [v] style'.",
        ),
    ]


def trigger() -> io.Input:
    """Return the input of the word that calls the concept."""
    return io.String.Input(
        "trigger",
        default="embedding:my_concept",
        tooltip="Replaces [v] in the customised model's prompts: embedding:NAME for an adapter of this pack, the "
        "trigger word for any other LoRA.",
    )


def size(default: int = 1024) -> list[io.Input]:
    """Return the inputs of an image's size."""
    return [
        io.Int.Input(
            side, default=default, min=64, max=4096, step=16, tooltip=f"{side.capitalize()} of the images in pixels."
        )
        for side in ("width", "height")
    ]


def sampling_inputs(seeds: int, least: int = 1) -> list[io.Input]:
    """Return the inputs that control how images are generated; see `sampling_of`.

    Args:
        seeds: default number of seeds.
        least: smallest number of seeds.
    """
    return [
        io.Int.Input(
            "seed",
            default=42,
            min=0,
            max=2**48,
            control_after_generate=io.ControlAfterGenerate.fixed,
            tooltip="First seed; the others count up from it.",
        ),
        io.Int.Input(
            "seeds",
            default=seeds,
            min=least,
            max=64,
            tooltip="Number of seeds. Each prompt is generated at all of them; more seeds give steadier results.",
        ),
        io.Int.Input("steps", default=28, min=1, max=1000, tooltip="Number of sampling steps."),
        io.Float.Input("cfg", default=4.5, min=0.0, max=100.0, step=0.1, tooltip="Classifier-free guidance scale."),
        io.Combo.Input("sampler_name", options=SAMPLERS, tooltip="Sampler, as in KSampler. Use euler for SD3.5."),
        io.Combo.Input(
            "scheduler",
            options=SCHEDULERS,
            default="sgm_uniform",
            tooltip="Scheduler, as in KSampler. Use sgm_uniform for SD3.5.",
        ),
        *size(),
        io.String.Input("negative", default="", advanced=True, tooltip="Negative prompt of all models, usually empty."),
        io.Int.Input(
            "batch_size",
            default=4,
            min=1,
            max=64,
            advanced=True,
            tooltip="Seeds generated at once. Lower it to save memory; the images stay the same.",
        ),
    ]


def sampling_of(values: dict) -> tuple[Sampling, range]:
    """Return (sampling, seeds) from the values of `sampling_inputs`."""
    names = ("steps", "cfg", "sampler_name", "scheduler", "width", "height", "negative", "batch_size")
    return Sampling(*(values[n] for n in names)), range(values["seed"], values["seed"] + values["seeds"])


def encoders(text: str = "clip") -> list[io.Input]:
    """Return the inputs of the encoders that compare images with references and prompts.

    Args:
        text: id of the input of CLIP's text half.
    """
    return [
        io.ClipVision.Input(
            "clip_vision",
            optional=True,
            tooltip="Image half of a CLIP, from Load CLIP Vision, for CLIP-I and CLIP-T.",
        ),
        io.Clip.Input(
            text,
            optional=True,
            tooltip="Text half of the same CLIP, from Load CLIP with the same file, for CLIP-T. The commonly shared "
            "clip_l.safetensors lacks the text projection and is refused.",
        ),
        io.ClipVision.Input("dino", optional=True, tooltip="DINOv2 large or giant, from Load CLIP Vision, for DINO."),
    ]
