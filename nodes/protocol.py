"""Pictures of a base model and a customised one, to be measured."""

from __future__ import annotations

import comfy.samplers
from comfy_api.latest import io

from ..purecc.host.drawing import Sampling, draw
from ..purecc.host.progress import NodeProgress
from ..purecc.protocol.pictures import parse_prompts
from .types import CATEGORY, Pictures

PROMPTS = """a [v] robot on a sandy beach
a [v] robot in deep snow
a [v] robot on a cobbled street after rain
a [v] robot beside a red bicycle
a [v] robot on a wooden desk with a lamp
a [v] robot in a field of sunflowers
a [v] robot under a bridge at night
a [v] robot wearing a yellow hat"""


def two_models() -> list[io.Input]:
    """Inputs of a base model and what was made from it."""
    return [
        io.Model.Input("model", tooltip="The base model, without the concept."),
        io.Clip.Input("clip", tooltip="The base model's text encoders."),
        io.Model.Input("customised_model", tooltip="The model with the concept: from Apply Adapter or a LoRA loader."),
        io.Clip.Input(
            "customised_clip", tooltip="The text encoders that know the concept: from Apply Adapter or a LoRA loader."
        ),
    ]


def size(default: int = 1024) -> list[io.Input]:
    """Inputs of a picture's size."""
    return [
        io.Int.Input(side, default=default, min=64, max=4096, step=16, tooltip=f"The pictures' {side} in pixels.")
        for side in ("width", "height")
    ]


class ProtocolPictures(io.ComfyNode):
    """Draws with both models."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PureCCProtocolPictures",
            display_name="Protocol Pictures",
            category=CATEGORY,
            description="Draws every prompt at the same seeds with a base model and a customised one, for Measure "
            "Pictures. The base model draws each prompt without the concept.",
            search_aliases=["evaluate lora", "benchmark", "dreambench", "prompt grid", "before and after"],
            inputs=[
                *two_models(),
                io.Vae.Input("vae", tooltip="The VAE of both models."),
                io.String.Input(
                    "prompts",
                    multiline=True,
                    default=PROMPTS,
                    tooltip="One a line, the concept marked by [v] before its class word. Prompts without [v] are "
                    "drawn too, and show what happened to the rest of the model.",
                ),
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
                io.String.Input(
                    "trigger",
                    default="embedding:my_concept",
                    tooltip="What stands for [v] in the customised model's prompts: embedding:NAME for an adapter of "
                    "this pack, or the trigger word of any other LoRA.",
                ),
                io.Int.Input(
                    "seed",
                    default=42,
                    min=0,
                    max=2**48,
                    control_after_generate=io.ControlAfterGenerate.fixed,
                    tooltip="The first seed; the others follow it.",
                ),
                io.Int.Input(
                    "seeds", default=4, min=1, max=64, tooltip="How many seeds. Each prompt is drawn at all of them."
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
                    "negative", default="", advanced=True, tooltip="The negative prompt of both models; usually empty."
                ),
                io.Int.Input(
                    "batch_size",
                    default=4,
                    min=1,
                    max=64,
                    advanced=True,
                    tooltip="Seeds drawn at a time. Fewer need less memory; the pictures are the same.",
                ),
            ],
            outputs=[
                Pictures.Output("pictures", display_name="pictures", tooltip="For Measure Pictures."),
                io.Image.Output("base", display_name="base", tooltip="The base model's: all seeds of the first prompt, "
                                "then of the second, and so on."),
                io.Image.Output("customised", display_name="customised", tooltip="The customised model's, in the same "
                                "order."),
            ],
            hidden=[io.Hidden.unique_id],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, model, clip, customised_model, customised_clip, vae, prompts, class_word, kind, trigger, seed, seeds,
        steps, cfg, sampler_name, scheduler, width, height, negative, batch_size,
    ) -> io.NodeOutput:  # fmt: skip
        texts = parse_prompts(prompts, class_word, kind)
        sampling = Sampling(steps, cfg, sampler_name, scheduler, width, height, negative, batch_size)
        progress = NodeProgress(cls.hidden.unique_id, "Protocol", 2 * len(texts) * seeds * steps)
        made = draw(
            (model, clip), (customised_model, customised_clip), vae, texts, range(seed, seed + seeds), sampling,
            trigger, progress,
        )  # fmt: skip
        return io.NodeOutput(made, made.base.flatten(0, 1), made.customised.flatten(0, 1))
