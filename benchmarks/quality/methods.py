"""The methods that are compared, all on the one loop."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from purecc_pack.purecc.recipes import (
    AnchoredLearning,
    ConceptCustomisation,
    OutputPreservation,
    PriorPreservation,
    PureLearning,
    Recipe,
)


@dataclass(frozen=True)
class Method:
    """A way to customise.

    Attributes:
        title: as tables name it.
        recipe: what the loop runs.
        lr: peak rate of the LoRA.
        embedding_lr: peak rate of the concept's vectors.
        input_token: whether the vectors of CLIP-L are trained.
        layer_wise: whether there is a vector for every block.
        true_masks: whether the masks are the drawing code's, as a user's would be, and not the base's own.
        ewc: weight of elastic weight consolidation; 0: none.
    """

    title: str
    recipe: Recipe
    lr: float = 2e-3
    embedding_lr: float = 5e-3
    input_token: bool = True
    layer_wise: bool = False
    true_masks: bool = False
    ewc: float = 0.0

    def at(self, **changes: Any) -> Method:
        """The same with other settings; those of the recipe are told by its own names."""
        own = {k: v for k, v in changes.items() if k in self.__dataclass_fields__}
        rest = {k: v for k, v in changes.items() if k not in own}
        return replace(self, recipe=replace(self.recipe, **rest), **own)


UNTOUCHED = PureLearning(v_original="base")

METHODS: dict[str, Method] = {
    "lora": Method("LoRA (3), no embedding", ConceptCustomisation(), embedding_lr=0.0, input_token=False),
    "lora-token": Method("LoRA + token", ConceptCustomisation()),
    "prior": Method("prior preservation", PriorPreservation(1.0)),
    "dop": Method("DOP", OutputPreservation("base", 1.0)),
    "bpp": Method("BPP", OutputPreservation("empty", 1.0)),
    "ewc": Method("EWC", ConceptCustomisation(), ewc=1.0),
    "released": Method("released code's variant", PureLearning(eta=2.0, scale=1.0, direction="base")),
    "lambda-1": Method("PureCC, λ = 1", PureLearning(scale=1.0)),
    "lambda-3": Method("PureCC, λ = 3", PureLearning(scale=3.0)),
    "lambda-5": Method("PureCC, λ = 5", PureLearning(scale=5.0)),
    "purecc": Method("PureCC λ*, as in the paper", PureLearning()),
    "purecc-stop": Method("PureCC λ*, stop-gradient", PureLearning(v_original="theta2 stop-gradient")),
    "purecc-base": Method("PureCC λ*, v_original from the base", UNTOUCHED),
    "purecc-merged": Method("PureCC λ*, one stage", PureLearning(direction="theta2")),
    "purecc-layers": Method("PureCC λ*, layer-wise", PureLearning(), input_token=False, layer_wise=True),
    "purecc-both": Method("PureCC λ*, token and layer-wise", PureLearning(), layer_wise=True),
    "purecc-none": Method("PureCC λ*, no embedding", PureLearning(), embedding_lr=0.0, input_token=False),
    "eta-0.5": Method("PureCC λ*, η = 0.5", PureLearning(eta=0.5)),
    "eta-1.5": Method("PureCC λ*, η = 1.5", PureLearning(eta=1.5)),
    "eta-2": Method("PureCC λ*, η = 2", PureLearning(eta=2.0)),
    "anchored": Method("anchored (ours)", AnchoredLearning()),
    "anchored-unmasked": Method("anchored, no mask", AnchoredLearning(masked=False)),
    "anchored-true": Method("anchored, true masks", AnchoredLearning(), true_masks=True),
    "anchored-dop": Method("anchored, no replay", AnchoredLearning(replay=False)),
    "anchored-lambda": Method("anchored + λ* L_PureCC", AnchoredLearning(eta=1.0)),
}
"""By short name; the rates and weights are those that the search on the development concepts chose."""

SEARCH: dict[str, list[dict[str, float]]] = {
    "lora-token": [{"lr": lr} for lr in (5e-4, 1e-3, 2e-3, 4e-3)],
    "dop": [{"lr": lr, "weight": m} for lr in (1e-3, 2e-3) for m in (1.0, 3.0)],
    "purecc": [{"lr": lr, "eta": eta} for lr in (1e-3, 2e-3) for eta in (1.0, 2.0)],
    "purecc-base": [{"lr": lr, "eta": eta} for lr in (1e-3, 2e-3) for eta in (0.5, 1.0)],
    "anchored": [{"lr": lr, "weight": m} for lr in (1e-3, 2e-3) for m in (1.0, 3.0)],
}
"""The same number of settings for every method that may be claimed."""

CLAIMED = ("lora-token", "dop", "purecc", "purecc-base", "anchored")
"""The methods that are run on the claim concepts, beside the base."""
