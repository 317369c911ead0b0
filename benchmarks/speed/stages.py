"""What is measured of ours: the stages, and the configurations in which each is run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from purecc_pack.purecc import fitting, recipes
from purecc_pack.purecc.branches import LoraSpec
from purecc_pack.purecc.host.field import PRECISIONS, HostField
from purecc_pack.purecc.host.job import Job
from purecc_pack.purecc.pool import POOL_PROMPTS
from purecc_pack.purecc.settings import Settings
from speed.sizes import Size

CLASS_WORD, KIND = "dog", "instance"
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
        targets: of the LoRA; fitting.AUTO, as the node leaves them open.
        everywhere: whether it is measured at every shape, and not at the first alone.
    """

    recipe: recipes.Recipe
    kind: str = "adapter"
    job: Mapping[str, Any] = field(default_factory=dict)
    loop: Mapping[str, Any] = field(default_factory=dict)
    targets: str = fitting.AUTO
    everywhere: bool = True


_ONCE = {"everywhere": False}
_TOKEN = {"job": {"layer_wise": False}}
_FROZEN = {"job": {"layer_wise": False}, "loop": {"embedding_lr": 0.0}}
_VECTORS = {"job": {"layer_wise": True, "input_token": False}}
_RELEASED = {"eta": 2.0, "scale": 1.0, "direction": "base"}

STAGES = {
    "pure learning, as released": Stage(recipes.PureLearning(**_RELEASED), **_FROZEN),
    "as released, untouched base": Stage(recipes.PureLearning(v_original="base", **_RELEASED), **_FROZEN, **_ONCE),
    "plain LoRA": Stage(recipes.ConceptCustomisation(), **_FROZEN, **_ONCE),
    "plain LoRA, all blocks": Stage(recipes.ConceptCustomisation(), targets="all blocks", **_FROZEN),
    "extractor": Stage(recipes.ConceptCustomisation(), "extractor", **_TOKEN),
    "pure learning, layer-wise": Stage(recipes.PureLearning(), **_VECTORS),
    "pure learning, frozen token": Stage(recipes.PureLearning(), **_FROZEN, **_ONCE),
    "pure learning, paper": Stage(recipes.PureLearning(), **_TOKEN),
    "anchored": Stage(recipes.AnchoredLearning(), **_TOKEN),
    "pure learning, untouched base": Stage(recipes.PureLearning(v_original="base"), **_TOKEN, **_ONCE),
}
"""By name, what matters most first. Unless the name says otherwise all have the nodes' defaults: rank 4 on the layers
that the recipe is given (attention; attention and MLP for anchored learning), a trained token, no layer-wise vectors.
"As released" is the recipe of the released step, so that both do the same work: θ2's own v_original with gradient,
R(y_tar) from the plain base, λ = 1, η = 2, the token frozen and with it every text cached. "Plain LoRA, all blocks"
adapts every linear layer of every block, which is nearest to what TrainLoraNode adapts."""


@dataclass(frozen=True)
class Configuration:
    """Settings of ours that change how fast and how large a stage is, and not what it computes.

    Attributes:
        job: further fields of the Job.
        loop: further fields of the Settings.
        fp8: whether MODEL is loaded as 8-bit floats, as the stock loader does.
        cap: GiB of the card that the run is given, the context of CUDA among it; None: all there is.
        only: the stages that it is for; None: every one.
    """

    job: Mapping[str, Any] = field(default_factory=dict)
    loop: Mapping[str, Any] = field(default_factory=dict)
    fp8: bool = False
    cap: float | None = None
    only: tuple[str, ...] | None = None

    @property
    def base(self) -> tuple:
        """What decides on the private copy: those with an equal one can share it."""
        return self.fp8, self.precision

    @property
    def precision(self) -> str:
        """What the base is asked to compute in."""
        return self.job.get("precision", Job.precision)

    def check(self, field: HostField, size: Size) -> torch.dtype:
        """What a private copy computes in, which is to be what its rows are taken for.

        Raises:
            RuntimeError: it is something else.
        """
        eight_bit = torch.bfloat16 if field.device.type != "cpu" else size.dtype
        wanted = PRECISIONS[self.precision] or (eight_bit if self.fp8 else size.dtype)
        if field.dtype != wanted:
            raise RuntimeError(f"The base computes in {field.dtype} and not in {wanted}: its times would mislead.")
        return field.dtype


LEAN = "pure learning, layer-wise", "pure learning, frozen token"
"""The stages that an 8 GB card is to hold."""

CARD, FP8 = "small, 7.2 GiB", "small, fp8, 5 GiB"
CONFIGURATIONS = {
    "fast": Configuration(),
    "small": Configuration({"checkpointing": "all"}),
    CARD: Configuration({"checkpointing": "all"}, cap=7.2, only=LEAN),
    FP8: Configuration({"checkpointing": "all"}, fp8=True, cap=5.0, only=LEAN),
}
"""By name. "fast" is what the nodes do when nobody changes an advanced input: as few blocks are computed twice as the
free memory allows; "small" computes every block twice. Both are measured on every stage, the others where a target asks
for them."""

PLAIN = {"precision": "float32"}
"""Fields of the Job in what the others are compared with."""


def configurations(stage: str, names: Iterable[str]) -> dict[str, Configuration]:
    """Those of the named configurations that are for a stage."""
    chosen = {name: CONFIGURATIONS[name] for name in names}
    return {n: c for n, c in chosen.items() if c.only is None or stage in c.only}


def job(stage: Stage, configuration: Configuration, size: Size, **loop) -> Job:
    """The Job of a stage in a configuration; `loop` is what a run adds to its Settings."""
    settings = Settings(**{**stage.loop, **configuration.loop, **loop})
    fields = {**stage.job, **configuration.job}
    targets = fitting.layers(stage.targets, stage.recipe, KIND)
    recipe = fitting.fitted(stage.recipe, targets, KIND)
    wanted = {"pool_images": size.pool, "pool_prompts": POOL_PROMPTS}
    return Job("speed", recipe, stage.kind, LoraSpec(targets=targets), settings, **wanted, **fields)
