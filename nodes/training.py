"""The two training nodes, one for each stage."""

from __future__ import annotations

from comfy_api.latest import io

from ..purecc.method.methods import EXTRACTORS, METHODS, PAPER, MethodOptions
from .anchor_settings import CLASS_IMAGES, anchor, pool_images
from .concept_settings import CONCEPT, EMBEDDING
from .expert_settings import IDS as EXPERT_IDS
from .loss_settings import LOSS
from .place_settings import PLACES, SHARED
from .preset import LAST
from .resume_settings import RESUME_STAGE_1, RESUME_STAGE_2
from .settings import Setting, Table, Values, fields, inputs
from .training_job import TrainingNode
from .training_settings import MEMORY, OPTIMISER, common
from .types import CATEGORY, Adapter, Dataset, Extractor, LoraModel, LossMap
from .visibility import mark
from .watch_settings import SAVING, WATCH

MODELS: Table = [
    io.Model.Input("model", tooltip="Base model to train. It is copied; yours stays as it is."),
    io.Clip.Input("clip", tooltip="Text encoders of the model. They stay as they are."),
    Dataset.Input("dataset", tooltip="Reference images and captions, from Concept Dataset."),
]

ADVANCED: Table = [*OPTIMISER, *MEMORY, *WATCH]

LATER: Table = [*SAVING, *CONCEPT, *LOSS, *LAST]

STAGE_1: Table = [
    *MODELS,
    *common("my_extractor"),
    *EMBEDDING,
    *ADVANCED,
    *LATER,
    *RESUME_STAGE_1,
    io.Combo.Input(
        "method",
        options=list(EXTRACTORS),
        default=PAPER,
        optional=True,
        tooltip="How the extractor learns. PureCC (paper): from whole images, as in the paper. anchored: inside the "
        "masks, held to the base model elsewhere; for the method PureCC (class images) of Pure Learning.",
    ),
    pool_images(optional=True),
    *anchor(weight=0.25, optional=True),
    *PLACES,
    *SHARED,
]
"""From the method on, what came last: workflows saved before still fit."""


def _loss() -> io.Output:
    return LossMap.Output(
        "loss", display_name="loss", tooltip="Losses for Training Curves or the stock Plot Loss Graph."
    )


class TrainExtractor(TrainingNode):
    """Trains an extractor: stage 1."""

    TITLE = "extractor"
    METHODS = EXTRACTORS

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PureCCTrainExtractor",
            display_name="Train Extractor",
            category=CATEGORY,
            description="Train stage 1 of PureCC: a LoRA and embedding that learn what the reference images have in "
            "common. The result guides Pure Learning; it is not meant for generating.",
            search_aliases=[
                "purecc stage 1",
                "train lora",
                "representation extractor",
                "textual inversion",
                "train",
                "teach",
            ],
            inputs=mark(inputs(STAGE_1), EXPERT_IDS),
            outputs=[
                Extractor.Output(
                    "extractor", display_name="extractor", tooltip="Extractor for Pure Learning or Save Adapter."
                ),
                _loss(),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.extra_pnginfo, io.Hidden.prompt],
        )

    @classmethod
    def execute(cls, **values) -> io.NodeOutput:
        recipe = EXTRACTORS[values.get("method", PAPER)](_options(STAGE_1, values))
        settled, notes = cls.settled(values, recipe)
        return io.NodeOutput(*cls.train(recipe, "extractor", fields(STAGE_1, settled), settled, notes))


METHOD: Table = [
    io.Combo.Input(
        "method",
        options=list(METHODS),
        tooltip="Training method. anchored: learns the concept inside the masks and holds the rest to the base model; "
        "needs no extractor. PureCC (class images): learns from an anchored extractor, on images of the class that the "
        "base model generates, and only details from the reference images. PureCC (paper): the paper's stage 2, with "
        "eta, scale and v_original. For comparison: LoRA "
        "is plain fine-tuning; prior preservation is DreamBooth's, on class images that the base model generates; DOP "
        "and BPP keep the base model's prediction for the class prompt or the empty prompt.",
    ),
    Setting(
        io.Float.Input(
            "eta",
            default=1.0,
            min=0.0,
            max=100.0,
            step=0.1,
            tooltip="PureCC: weight η of the pure learning loss beside L_CC (15) (paper: 1). prior preservation, DOP "
            "and BPP: weight of the preservation loss. anchored uses anchor_weight instead.",
        ),
        "method.eta",
    ),
    Setting(
        io.Combo.Input(
            "scale",
            options=["adaptive", "fixed"],
            tooltip="PureCC: scale λ. adaptive computes λ* (12) for every sample at every step, as in the paper. fixed "
            "uses fixed_scale.",
        ),
        "method.scale",
        lambda values: None if values["scale"] == "adaptive" else values["fixed_scale"],
    ),
    io.Float.Input(
        "fixed_scale",
        default=1.0,
        min=-100.0,
        max=100.0,
        step=0.1,
        advanced=True,
        tooltip="PureCC: value of λ if scale is fixed.",
    ),
    Setting(
        io.Combo.Input(
            "v_original",
            options=["theta2", "theta2 stop-gradient", "base"],
            tooltip="PureCC: prediction for the base text that the target builds on (9). theta2: the trained model's, "
            "as in the paper. theta2 stop-gradient: the same, without its gradient. base: the base model's.",
        ),
        "method.v_original",
    ),
]

STAGE_2: Table = [
    *MODELS,
    Extractor.Input(
        "extractor",
        optional=True,
        tooltip="Extractor from Train Extractor or Load Adapter. Only the methods of PureCC need it.",
    ),
    *common("my_concept"),
    *METHOD,
    *EMBEDDING,
    pool_images(),
    *ADVANCED,
    *anchor(weight=1.0),
    *LATER,
    *RESUME_STAGE_2,
    *PLACES,
    *CLASS_IMAGES,
    *SHARED,
]


def _options(table: Table, values: Values) -> MethodOptions:
    chosen = [e for e in table if isinstance(e, Setting) and e.fills.startswith("method.")]
    return MethodOptions(**fields(chosen, values)["method"])


class PureLearning(TrainingNode):
    """Trains an adapter: stage 2, and the methods it is compared with."""

    TITLE = "pure learning"
    METHODS = METHODS

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PureCCPureLearning",
            display_name="Pure Learning",
            category=CATEGORY,
            description="Train a LoRA that learns the concept with as little damage to the rest of the model as "
            "possible: by anchored learning, or by stage 2 of PureCC with an extractor and the adaptive scale λ*. "
            "Other methods are included for comparison.",
            search_aliases=[
                *("train", "lora", "train lora", "lora training", "fine-tune", "finetune", "teach", "dreambooth"),
                *("style", "character", "face", "subject", "person", "purecc stage 2", "preservation", "learn concept"),
            ],
            inputs=mark(inputs(STAGE_2), EXPERT_IDS),
            outputs=[
                Adapter.Output(
                    "adapter", display_name="adapter", tooltip="Trained adapter for Apply Adapter and Save Adapter."
                ),
                LoraModel.Output(
                    "lora",
                    display_name="lora",
                    tooltip="The LoRA alone, for the stock Load LoRA Model and Save LoRA Weights.",
                ),
                _loss(),
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.extra_pnginfo, io.Hidden.prompt],
        )

    @classmethod
    def execute(cls, **values) -> io.NodeOutput:
        recipe = METHODS[values["method"]](_options(STAGE_2, values))
        settled, notes = cls.settled(values, recipe)
        adapter, loss = cls.train(recipe, "adapter", fields(STAGE_2, settled), settled, notes)
        return io.NodeOutput(adapter, dict(adapter.lora), loss)
