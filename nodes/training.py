"""The two stages of training."""

from __future__ import annotations

from comfy_api.latest import io

from ..purecc import recipes
from ..purecc.host.runs import run
from ..purecc.host.session import Job
from ..purecc.pool import POOL_PROMPTS, pool_prompts
from . import training_inputs
from .types import CATEGORY, Adapter, Dataset, Extractor, LoraModel, LossMap


def _models() -> list[io.Input]:
    return [
        io.Model.Input("model", tooltip="The base model. It is copied; yours stays as it is."),
        io.Clip.Input("clip", tooltip="The text encoders that belong to the model. They stay as they are."),
        Dataset.Input("dataset", tooltip="From Concept Dataset."),
    ]


class TrainExtractor(training_inputs.TrainingNode):
    """Stage 1."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PureCCTrainExtractor",
            display_name="Train Extractor",
            category=CATEGORY,
            description="Stage 1 of PureCC: learns what the references have in common, as a LoRA and learned vectors. "
            "The result guides Pure Learning; it is not meant for generating.",
            search_aliases=["purecc stage 1", "train lora", "representation extractor", "textual inversion"],
            inputs=[
                *_models(),
                *training_inputs.common("my_extractor"),
                *training_inputs.embeddings(),
                *training_inputs.rare(),
                *training_inputs.kept(),
            ],
            outputs=[
                Extractor.Output("extractor", display_name="extractor", tooltip="For Pure Learning or Save Adapter."),
                LossMap.Output(
                    "loss", display_name="loss", tooltip="For Training Curves, or the stock Plot Loss Graph."
                ),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.extra_pnginfo],
        )

    @classmethod
    def execute(cls, model, clip, dataset, **values) -> io.NodeOutput:
        job = Job(recipe=recipes.ConceptCustomisation(), kind="extractor", **training_inputs.job_options(values))
        adapter, loss = run(model, clip, dataset, job, title="extractor", **training_inputs.run_options(values, cls))
        return io.NodeOutput(adapter, loss)


def _anchor() -> list[io.Input]:
    """The inputs of the method anchored; last, so that workflows saved before there were any still fit."""
    return [
        io.Float.Input(
            "anchor_weight",
            default=1.0,
            min=0.0,
            max=100.0,
            step=0.1,
            tooltip="For anchored: how strongly the model is held to the untouched base, on the references without the "
            "concept and on pictures of the base's own.",
        ),
        io.Boolean.Input(
            "mask",
            default=True,
            advanced=True,
            tooltip="For anchored: learn only what is inside each reference's mask. Masks that Concept Dataset was not "
            "given are found on the base model, and shown here before the first step. Off: whole pictures are learned.",
        ),
        io.String.Input(
            "pool_prompts",
            default="\n".join(POOL_PROMPTS),
            multiline=True,
            advanced=True,
            tooltip="For anchored: what the base draws before training, one prompt a line, in turn: things unlike the "
            "concept, not its class. Empty: the captions without the concept.",
        ),
    ]


METHODS = ["anchored", "PureCC (paper)", "LoRA", "prior preservation", "DOP", "BPP"]


class PureLearning(training_inputs.TrainingNode):
    """Stage 2, and the methods it is compared with."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PureCCPureLearning",
            display_name="Pure Learning",
            category=CATEGORY,
            description="Trains a LoRA to learn the concept and nothing else: by anchored learning, or by stage 2 of "
            "PureCC, guided by an extractor with the adaptive scale λ*. Also trains by other methods, for comparison.",
            search_aliases=["purecc stage 2", "train lora", "dreambooth", "preservation"],
            inputs=[
                *_models(),
                Extractor.Input(
                    "extractor", optional=True, tooltip="From Train Extractor or Load Adapter. Only PureCC needs it."
                ),
                *training_inputs.common("my_concept"),
                io.Combo.Input(
                    "method",
                    options=METHODS,
                    tooltip="anchored: learns what is inside each reference's mask and is held to the untouched base "
                    "elsewhere; it needs no extractor. PureCC (paper): the paper's pure learning, for which eta, scale "
                    "and v_original are. The others are for comparison. LoRA: plain fine-tuning. prior preservation: "
                    "DreamBooth's, on images of the class that the base draws. DOP and BPP: keep the base's prediction "
                    "for the class text, or for the empty prompt.",
                ),
                io.Float.Input(
                    "eta",
                    default=1.0,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    tooltip="For PureCC: η, the weight of pure learning against L_CC (15). The paper's is 1. For prior "
                    "preservation, DOP and BPP: the weight of what preserves. anchored has anchor_weight instead.",
                ),
                io.Combo.Input(
                    "scale",
                    options=["adaptive", "fixed"],
                    tooltip="adaptive: λ* (12), computed for every sample at every step. fixed: the number below.",
                ),
                io.Float.Input(
                    "fixed_scale",
                    default=1.0,
                    min=-100.0,
                    max=100.0,
                    step=0.1,
                    advanced=True,
                    tooltip="λ where the scale is fixed.",
                ),
                io.Combo.Input(
                    "v_original",
                    options=["theta2", "theta2 stop-gradient", "base"],
                    tooltip="Whose prediction of the base text is built upon (9). theta2: the trained model's own, as "
                    "in the paper. theta2 stop-gradient: the same, held fixed. base: the untouched base model's.",
                ),
                *training_inputs.embeddings(),
                io.Int.Input(
                    "pool_images",
                    default=48,
                    min=1,
                    max=1000,
                    advanced=True,
                    tooltip="How many pictures the base draws before training: for prior preservation with the "
                    "references' captions without the concept, for anchored with pool_prompts.",
                ),
                *training_inputs.rare(),
                *_anchor(),
                *training_inputs.kept(),
            ],
            outputs=[
                Adapter.Output("adapter", display_name="adapter", tooltip="For Apply Adapter and Save Adapter."),
                LoraModel.Output(
                    "lora",
                    display_name="lora",
                    tooltip="The LoRA alone, for the stock Load LoRA Model and Save LoRA Weights.",
                ),
                LossMap.Output(
                    "loss", display_name="loss", tooltip="For Training Curves, or the stock Plot Loss Graph."
                ),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.extra_pnginfo],
        )

    @classmethod
    def execute(cls, model, clip, dataset, extractor=None, **values) -> io.NodeOutput:
        job = Job(
            recipe=_recipe(values),
            pool_images=values["pool_images"],
            pool_prompts=_pool_prompts(values),
            **training_inputs.job_options(values),
        )
        options = training_inputs.run_options(values, cls)
        adapter, loss = run(model, clip, dataset, job, title="pure learning", extractor=extractor, **options)
        return io.NodeOutput(adapter, dict(adapter.lora), loss)


def _recipe(values: dict) -> recipes.Recipe:
    eta = values["eta"]
    return {
        "PureCC (paper)": recipes.PureLearning(
            eta, None if values["scale"] == "adaptive" else values["fixed_scale"], values["v_original"]
        ),
        "LoRA": recipes.ConceptCustomisation(),
        "prior preservation": recipes.PriorPreservation(eta),
        "DOP": recipes.OutputPreservation("base", eta),
        "BPP": recipes.OutputPreservation("empty", eta),
        "anchored": recipes.AnchoredLearning(values["anchor_weight"], values["mask"]),
    }[values["method"]]


def _pool_prompts(values: dict) -> tuple[str, ...]:
    if values["method"] != "anchored":
        return ()
    return pool_prompts(training_inputs.lines(values["pool_prompts"]))
