"""What is measured of ours: the stages, and the configurations in which each is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from purecc_pack.purecc import recipes
from purecc_pack.purecc.host.job import Job
from purecc_pack.purecc.pool import POOL_PROMPTS
from purecc_pack.purecc.settings import Settings
from speed.sizes import Size

CLASS_WORD = "dog"
CAPTIONS = (
    "a [v] dog on a beach",
    "a [v] dog standing on a surfboard",
    "a [v] dog, seen from the left",
    "the [v] dog beside a red chair",
)
"""Of the references, four random pictures; as many as the largest batch."""


@dataclass(frozen=True)
class Stage:
    """A kind of training.

    Attributes:
        recipe: the method.
        kind: "extractor" for stage 1, else "adapter".
        job: further fields of the Job.
        loop: further fields of the Settings.
    """

    recipe: recipes.Recipe
    kind: str = "adapter"
    job: Mapping[str, Any] = field(default_factory=dict)
    loop: Mapping[str, Any] = field(default_factory=dict)


_FROZEN = {"job": {"layer_wise": False}, "loop": {"embedding_lr": 0.0}}

STAGES = {
    "extractor": Stage(recipes.ConceptCustomisation(), "extractor", {"layer_wise": False}),
    "pure learning, paper": Stage(recipes.PureLearning(), job={"layer_wise": False}),
    "pure learning, untouched base": Stage(recipes.PureLearning(v_original="base"), job={"layer_wise": False}),
    "pure learning, as released": Stage(recipes.PureLearning(eta=2.0, scale=1.0, direction="base"), **_FROZEN),
    "anchored": Stage(recipes.AnchoredLearning(), job={"layer_wise": False}),
    "plain LoRA": Stage(recipes.ConceptCustomisation(), **_FROZEN),
}
"""By name. All have the nodes' defaults: a LoRA of rank 4 on the attention, a trained token, no layer-wise vectors.
"As released" is the recipe of the released step, so that both do the same work: θ2's own v_original with gradient,
R(y_tar) from the plain base, λ = 1, η = 2, the token frozen."""


@dataclass(frozen=True)
class Configuration:
    """Settings of ours that change how fast and how large a stage is, and not what it computes.

    Attributes:
        job: further fields of the Job.
        loop: further fields of the Settings.
    """

    job: Mapping[str, Any] = field(default_factory=dict)
    loop: Mapping[str, Any] = field(default_factory=dict)


CONFIGURATIONS = {"fast": Configuration(), "small": Configuration(job={"checkpointing": "all"})}
"""By name, each measured on every stage. "fast" is what the nodes do when nobody changes an advanced input: as few
blocks are computed twice as the free memory allows; "small" computes every block twice."""

PLAIN = Configuration(job={"precision": "float32"})
"""What the others are compared with."""


def job(stage: Stage, configuration: Configuration, size: Size, **loop) -> Job:
    """The Job of a stage in a configuration; `loop` is what a run adds to its Settings."""
    settings = Settings(**{**stage.loop, **configuration.loop, **loop})
    fields = {**stage.job, **configuration.job}
    wanted = {"pool_images": size.pool, "pool_prompts": POOL_PROMPTS}
    return Job("speed", stage.recipe, stage.kind, settings=settings, **wanted, **fields)
