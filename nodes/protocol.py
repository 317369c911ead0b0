"""Pictures of a base model and a customised one, to be measured."""

from __future__ import annotations

from comfy_api.latest import io

from ..purecc.host.drawing import Customised, draw
from ..purecc.host.progress import NodeProgress
from ..purecc.protocol.pictures import parse_prompts
from .protocol_inputs import concept, prompts, sampling_inputs, sampling_of, trigger, two_models
from .types import CATEGORY, Pictures

PROMPTS = """a [v] robot on a sandy beach
a [v] robot in deep snow
a [v] robot on a cobbled street after rain
a [v] robot beside a red bicycle
a [v] robot on a wooden desk with a lamp
a [v] robot in a field of sunflowers
a [v] robot under a bridge at night
a [v] robot wearing a yellow hat"""


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
                prompts(PROMPTS),
                *concept(),
                trigger(),
                *sampling_inputs(seeds=4),
            ],
            outputs=[
                Pictures.Output("pictures", display_name="pictures", tooltip="For Measure Pictures."),
                io.Image.Output(
                    "base",
                    display_name="base",
                    tooltip="The base model's: all seeds of the first prompt, then of the second, and so on.",
                ),
                io.Image.Output(
                    "customised", display_name="customised", tooltip="The customised model's, in the same order."
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls, model, clip, customised_model, customised_clip, vae, prompts, class_word, kind, trigger, **values
    ) -> io.NodeOutput:
        texts = parse_prompts(prompts, class_word, kind)
        how, seeds = sampling_of(values)
        progress = NodeProgress(cls.hidden.unique_id, "Protocol", 2 * len(texts) * len(seeds) * how.steps)
        customised = Customised("customised model", customised_model, customised_clip, trigger)
        (made,) = draw((model, clip), [customised], vae, texts, seeds, how, progress)
        return io.NodeOutput(made, made.base.flatten(0, 1), made.customised.flatten(0, 1))
