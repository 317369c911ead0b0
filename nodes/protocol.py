"""The node that generates images with a base model and a customised one, to be measured."""

from __future__ import annotations

from comfy_api.latest import io

from ..purecc.evaluation.pictures import parse_prompts
from ..purecc.host.evaluation.sampling import Customised, Protocol, sample
from ..purecc.host.models.host_models import HostModels
from ..purecc.host.ui.node_progress import NodeProgress
from ..purecc.text.concept import Concept
from .checked import Node
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


class ProtocolPictures(Node):
    """Generates with both models."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PureCCProtocolPictures",
            display_name="Protocol Pictures",
            category=CATEGORY,
            description="Generate every prompt at the same seeds with a base model and a customised model, for Measure "
            "Pictures. The base model gets each prompt without the concept.",
            search_aliases=["evaluate lora", "benchmark", "dreambench", "prompt grid", "before and after"],
            inputs=[
                *two_models(),
                io.Vae.Input("vae", tooltip="VAE of both models."),
                prompts(PROMPTS),
                *concept(),
                trigger(),
                *sampling_inputs(seeds=4),
            ],
            outputs=[
                Pictures.Output("pictures", display_name="pictures", tooltip="All images, for Measure Pictures."),
                io.Image.Output(
                    "base",
                    display_name="base",
                    tooltip="Images of the base model: all seeds of the first prompt, then of the second, and so on.",
                ),
                io.Image.Output(
                    "customised",
                    display_name="customised",
                    tooltip="Images of the customised model, in the same order.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, model, clip, vae, prompts, **values) -> io.NodeOutput:
        how, seeds = sampling_of(values)
        texts = parse_prompts(prompts, Concept(values["class_word"], values["kind"]))
        protocol = Protocol(texts, seeds, how)
        progress = NodeProgress(cls.hidden.unique_id, "Protocol", 2 * protocol.steps)
        models = HostModels(values["customised_model"], values["customised_clip"])
        customised = Customised("customised model", models, values["trigger"])
        (made,) = sample(HostModels(model, clip, vae), [customised], protocol, progress)
        return io.NodeOutput(made, made.base.flatten(0, 1), made.customised.flatten(0, 1))
