"""What is measured of ours: the stages, and the configurations in which each is run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from purecc_pack.purecc.host.training.job import EmbeddingSpec, Job, MemorySpec, PoolSpec
from purecc_pack.purecc.method.anchored import AnchoredLearning
from purecc_pack.purecc.method.pure_learning import ConceptCustomisation, PureLearning
from purecc_pack.purecc.method.recipe import Recipe
from purecc_pack.purecc.network.lora import AUTO, LoraSpec
from purecc_pack.purecc.training.pool import POOL_PROMPTS
from purecc_pack.purecc.training.settings import Settings
from speed.names import ALL_BLOCKS, AS_RELEASED, CAPS, CARD, FP8, LEAN, PAPER, UNTOUCHED

CLASS_WORD, KIND = "dog", "instance"
CAPTIONS = (
    "a [v] dog on a beach",
    "a [v] dog standing on a surfboard",
    "a [v] dog, seen from the left",
    "the [v] dog beside a red chair",
)
"""Captions of the references, which are random images; as many as the largest batch."""

TOKEN = EmbeddingSpec(layer_wise=False)


@dataclass(frozen=True)
class Stage:
    """A kind of training.

    Attributes:
        recipe: the method.
        kind: "extractor" for stage 1, else "adapter".
        embedding: the concept's vectors; a trained token unless it says otherwise.
        frozen: whether the token is not trained, and every text cached.
        targets: layers of the LoRA; AUTO, as the node leaves them open.
    """

    recipe: Recipe
    kind: str = "adapter"
    embedding: EmbeddingSpec = TOKEN
    frozen: bool = False
    targets: str = AUTO

    @property
    def layers(self) -> str:
        """The layers that the LoRA adapts, where the stage leaves them open."""
        return self.recipe.target_layers(KIND) if self.targets == AUTO else self.targets


STAGES = {
    AS_RELEASED: Stage(PureLearning(eta=2.0, scale=1.0, direction="base"), frozen=True),
    UNTOUCHED: Stage(PureLearning(v_original="base", eta=2.0, scale=1.0, direction="base"), frozen=True),
    "plain LoRA": Stage(ConceptCustomisation(), frozen=True),
    ALL_BLOCKS: Stage(ConceptCustomisation(), frozen=True, targets="all blocks"),
    "extractor": Stage(ConceptCustomisation(), "extractor"),
    LEAN[0]: Stage(PureLearning(), embedding=EmbeddingSpec(input_token=False)),
    LEAN[1]: Stage(PureLearning(), frozen=True),
    PAPER: Stage(PureLearning()),
    "anchored": Stage(AnchoredLearning()),
    "pure learning, untouched base": Stage(PureLearning(v_original="base")),
}
"""By name, what matters most first. Unless the name says otherwise a stage has the nodes' defaults: rank 4, the layers
that the recipe is given (attention; attention and MLP for anchored learning), a trained token, no layer-wise vectors.
"As released" is the recipe of the released step, so that both do the same work: v_original of θ2 with gradient,
R(y_tar) of the plain base, λ = 1, η = 2, a frozen token, every text cached. "Plain LoRA, all blocks" adapts every
linear layer of every block, which is nearest to what TrainLoraNode adapts."""


@dataclass(frozen=True)
class Configuration:
    """Settings of ours that change how fast and how large a stage is, and not what it computes.

    Attributes:
        checkpointing: see MemorySpec.
        precision: see MemorySpec.
        fp8: whether MODEL is loaded with 8-bit weights.
        cap: GiB of the card, CUDA's context among them; None: all there is.
        only: the stages that it is for; empty: every one.
    """

    checkpointing: str = MemorySpec.checkpointing
    precision: str = MemorySpec.precision
    fp8: bool = False
    cap: float | None = None
    only: tuple[str, ...] = ()


CONFIGURATIONS = {
    "fast": Configuration(),
    "small": Configuration("all"),
    CARD: Configuration("all", cap=CAPS[CARD], only=LEAN),
    FP8: Configuration("all", fp8=True, cap=CAPS[FP8], only=LEAN),
}
"""By name. "fast" is what the nodes do when nobody changes an advanced input: they checkpoint as few blocks as the free
memory allows. "small" checkpoints every block."""


def job(stage: Stage, configuration: Configuration, pool: int, **loop: Any) -> Job:
    """Return the Job of a stage in a configuration.

    Args:
        stage: what to train.
        configuration: how.
        pool: images that the base generates for anchored learning.
        loop: fields of the Settings.
    """
    settings = replace(Settings(embedding_lr=0.0) if stage.frozen else Settings(), **loop)
    memory = MemorySpec(configuration.precision, configuration.checkpointing)
    recipe, lora = stage.recipe.fit(KIND, stage.layers), LoraSpec(targets=stage.layers)
    images = PoolSpec(pool, POOL_PROMPTS)
    return Job("speed", recipe, stage.kind, lora, settings, stage.embedding, memory, pool=images)
