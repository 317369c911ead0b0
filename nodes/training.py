"""The two training nodes, one for each stage."""

from __future__ import annotations

from comfy_api.latest import io

from ..purecc.method.methods import METHODS, MethodOptions
from ..purecc.method.pure_learning import ConceptCustomisation
from ..purecc.training.pool import POOL_PROMPTS, pool_prompts
from .concept_settings import CONCEPT, EMBEDDING
from .expert_settings import IDS as EXPERT_IDS
from .loss_settings import LOSS
from .place_settings import PLACES
from .preset import LAST
from .resume_settings import RESUME_STAGE_1, RESUME_STAGE_2
from .settings import Setting, Table, Values, fields, inputs, lines
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

STAGE_1: Table = [*MODELS, *common("my_extractor"), *EMBEDDING, *ADVANCED, *LATER, *RESUME_STAGE_1]


def _loss() -> io.Output:
    return LossMap.Output(
        "loss", display_name="loss", tooltip="Losses for Training Curves or the stock Plot Loss Graph."
    )


class TrainExtractor(TrainingNode):
    """Trains an extractor: stage 1."""

    TITLE = "extractor"

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
        recipe = ConceptCustomisation()
        settled, notes = cls.settled(values, recipe)
        return io.NodeOutput(*cls.train(recipe, "extractor", fields(STAGE_1, settled), settled, notes))


def _pool_prompts(values: Values) -> tuple[str, ...]:
    anchors = METHODS[values["method"]](MethodOptions()).needs_text("anchor")
    return pool_prompts(lines(values["pool_prompts"])) if anchors else ()


METHOD: Table = [
    io.Combo.Input(
        "method",
        options=list(METHODS),
        tooltip="Training method. anchored: learns the concept inside the masks and holds the rest to the base model; "
        "needs no extractor. PureCC (paper): the paper's stage 2, with eta, scale and v_original. For comparison: LoRA "
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

POOL_IMAGES = Setting(
    io.Int.Input(
        "pool_images",
        default=48,
        min=1,
        max=1000,
        advanced=True,
        tooltip="Number of images that the base model generates before training. prior preservation prompts them with "
        "the captions without the concept, anchored with pool_prompts.",
    ),
    "pool.images",
)

ANCHOR: Table = [
    Setting(
        io.Float.Input(
            "anchor_weight",
            default=1.0,
            min=0.0,
            max=100.0,
            step=0.1,
            tooltip="anchored: weight of the loss that holds the model to the base model. Raise it if the rest of the "
            "model changes; lower it if the concept comes out too weak.",
        ),
        "method.anchor_weight",
    ),
    Setting(
        io.Boolean.Input(
            "mask",
            default=True,
            advanced=True,
            tooltip="anchored: learn only inside each reference image's mask. Masks that Concept Dataset lacks are "
            "found with the base model and shown here before the first step. Off learns whole images.",
        ),
        "method.mask",
    ),
    Setting(
        io.String.Input(
            "pool_prompts",
            default="\n".join(POOL_PROMPTS),
            multiline=True,
            advanced=True,
            tooltip="anchored: prompts for the pool images, one per line, used in turn. Name things unlike the "
            "concept, not its class. If empty, the captions without the concept are used.",
        ),
        "pool.prompts",
        _pool_prompts,
    ),
]
"""Near the end of the node, so that workflows saved before these settings existed still fit."""

STAGE_2: Table = [
    *MODELS,
    Extractor.Input(
        "extractor", optional=True, tooltip="Extractor from Train Extractor or Load Adapter. Only PureCC needs it."
    ),
    *common("my_concept"),
    *METHOD,
    *EMBEDDING,
    POOL_IMAGES,
    *ADVANCED,
    *ANCHOR,
    *LATER,
    *RESUME_STAGE_2,
    *PLACES,
]
METHOD_OPTIONS: Table = [e for e in STAGE_2 if isinstance(e, Setting) and e.fills.startswith("method.")]


class PureLearning(TrainingNode):
    """Trains an adapter: stage 2, and the methods it is compared with."""

    TITLE = "pure learning"

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
        recipe = METHODS[values["method"]](MethodOptions(**fields(METHOD_OPTIONS, values)["method"]))
        settled, notes = cls.settled(values, recipe)
        adapter, loss = cls.train(recipe, "adapter", fields(STAGE_2, settled), settled, notes)
        return io.NodeOutput(adapter, dict(adapter.lora), loss)
