"""List the methods that are compared; all run in the one training loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from purecc_pack.purecc.method.anchored import AnchoredLearning
from purecc_pack.purecc.method.baselines import OutputPreservation, PriorPreservation
from purecc_pack.purecc.method.pure_learning import ConceptCustomisation, PureLearning
from purecc_pack.purecc.method.recipe import Recipe, Text
from purecc_pack.purecc.method.two_stages import ClassImageLearning
from purecc_pack.purecc.training.companions import KEEP, LEAVE_OUT
from purecc_pack.purecc.training.placing import AUTO, OFF, SAY
from purecc_pack.purecc.training.sizing import FIT


@dataclass(frozen=True)
class Stages:
    """How a method with an extractor goes about its two stages.

    Attributes:
        first: short name of the method that makes the extractor.
        share: steps of the second stage, in shares of those of a method with one stage.
        first_share: the same of the first; None: as the second.
    """

    first: str = "lora-token"
    share: float = 1.0
    first_share: float | None = None

    def steps(self, of_one: int) -> tuple[int, int]:
        """Return the steps of both stages, given those of a method with one stage."""
        first = self.share if self.first_share is None else self.first_share
        return round(of_one * first), round(of_one * self.share)


@dataclass(frozen=True)
class ClassAnchored(AnchoredLearning):
    """Anchored learning whose anchor has images of the base alone, and none of the references.

    Half of the pool shows the class, as the second stage of `ClassImageLearning` sees it: the anchor of either is the
    same, so that what differs is whether the concept is learned on the references.
    """

    @property
    def _anchor(self) -> Text:
        return "pool"


@dataclass(frozen=True)
class References:
    """What a method does about what references share besides the concept.

    Attributes:
        places: about where they show it, one of `placing.CHOICES`.
        companion: about a thing beside it, one of `companions.CHOICES`.
        told: whether the user names that thing.
        size: where they show it larger than usual, one of `sizing.CHOICES`.
    """

    places: str = OFF
    companion: str = KEEP
    told: bool = False
    size: str = KEEP


@dataclass(frozen=True)
class Method:
    """A method with its settings.

    Attributes:
        title: as tables name it.
        recipe: what the loop runs.
        lr: peak rate of the LoRA; that of the concept's vectors is five times as much.
        input_token: whether the vectors of CLIP-L are trained.
        layer_wise: whether there is a vector for every block.
        true_masks: whether the masks are the drawing code's, as a user's would be, and not the base's own.
        ewc: weight of elastic weight consolidation; 0: none.
        target: the layers with a LoRA, a key of `lora.TARGETS` or AUTO.
        class_pool: whether half of the pool shows the class.
        paired: whether a sixth of the images of the class show another thing beside it.
        references: what is done to them first.
        stages: of a method with an extractor.
    """

    title: str
    recipe: Recipe
    lr: float = 2e-3
    input_token: bool = True
    layer_wise: bool = False
    true_masks: bool = False
    ewc: float = 0.0
    target: str = "attention and mlp"
    class_pool: bool = False
    paired: bool = False
    references: References = References()
    stages: Stages = Stages()

    @property
    def embedding_lr(self) -> float:
        """Peak rate of the concept's vectors; 0 where there are none."""
        return 5 * self.lr if self.input_token or self.layer_wise else 0.0

    def at(self, **changes: Any) -> Method:
        """Return the same with other settings; those of the recipe go by its own names."""
        own = {k: v for k, v in changes.items() if k in self.__dataclass_fields__}
        rest = {k: v for k, v in changes.items() if k not in own}
        return replace(self, recipe=replace(cast(Any, self.recipe), **rest), **own)


def label(key: str, settings: Mapping[str, float]) -> str:
    """Return the label of a setting of a method."""
    return " ".join([key, *(f"{name}={value:g}" for name, value in settings.items())])


SAID = References(SAY)
APART = References(AUTO, LEAVE_OUT)
FITTED = replace(APART, size=FIT)
"""As the node has it."""

PLAIN = Method("LoRA + token", ConceptCustomisation(), lr=1e-3)
PAPER = Method("PureCC λ*, as in the paper", PureLearning(), lr=1e-3)
OURS = Method("anchored (ours)", AnchoredLearning(weight=1.0), lr=8e-3, target="auto")
FIRST = OURS.at(title="anchored, as the extractor of two stages", references=FITTED, weight=0.25)
LATE = Method(
    "PureCC (class images), two stages (ours)",
    ClassImageLearning(below=0.5),
    lr=8e-3,
    paired=True,
    references=FITTED,
    stages=Stages("anchored-first", 0.625, 0.375),
)
SINGLE = LATE.at(
    title="PureCC (class images), two stages (ours), images of one thing",
    paired=False,
    stages=Stages("anchored-fit", 0.5),
)

METHODS: dict[str, Method] = {
    "lora": PLAIN.at(title="LoRA (3), no embedding", input_token=False),
    "lora-token": PLAIN,
    "prior": Method("prior preservation", PriorPreservation(1.0), lr=2e-3),
    "dop": Method("DOP", OutputPreservation("base", 3.0), lr=4e-3),
    "bpp": Method("BPP", OutputPreservation("empty", 1.0), lr=2e-3),
    "ewc": PLAIN.at(title="EWC", ewc=0.003),
    "released": PAPER.at(title="released code's variant", eta=2.0, scale=1.0, direction="base"),
    "lambda-1": PAPER.at(title="PureCC, λ = 1", scale=1.0),
    "lambda-3": PAPER.at(title="PureCC, λ = 3", scale=3.0),
    "lambda-5": PAPER.at(title="PureCC, λ = 5", scale=5.0),
    "purecc": PAPER,
    "purecc-stop": PAPER.at(title="PureCC λ*, stop-gradient", v_original="theta2 stop-gradient"),
    "purecc-base": Method("PureCC λ*, v_original from the base", PureLearning(eta=0.5, v_original="base"), lr=4e-3),
    "purecc-merged": PAPER.at(title="PureCC λ*, one stage", direction="theta2"),
    "purecc-layers": PAPER.at(title="PureCC λ*, layer-wise", input_token=False, layer_wise=True),
    "purecc-both": PAPER.at(title="PureCC λ*, token and layer-wise", layer_wise=True),
    "purecc-none": PAPER.at(title="PureCC λ*, no embedding", input_token=False),
    "eta-0.5": PAPER.at(title="PureCC λ*, η = 0.5", eta=0.5),
    "eta-1.5": PAPER.at(title="PureCC λ*, η = 1.5", eta=1.5),
    "eta-2": PAPER.at(title="PureCC λ*, η = 2", eta=2.0),
    "anchored": OURS,
    "anchored-unmasked": OURS.at(title="anchored, no mask", masked=False),
    "anchored-true": OURS.at(title="anchored, true masks", true_masks=True),
    "anchored-class": OURS.at(title="anchored, half the replay of the class", class_pool=True),
    "anchored-attention": OURS.at(title="anchored, styles as things", target="attention and mlp", strength=1.0),
    "anchored-dop": OURS.at(title="anchored, no replay", replay=False),
    "anchored-lambda": OURS.at(title="anchored + λ* L_PureCC", eta=1.0),
    "anchored-say": OURS.at(title="anchored, place said", references=SAID),
    "anchored-auto": OURS.at(title="anchored, place said, moved where it is shared", references=References(AUTO)),
    "anchored-node": OURS.at(title="anchored (ours), places said", references=replace(APART, places=SAY, size=FIT)),
    "anchored-apart": OURS.at(title="the same, companions left out", references=APART),
    "anchored-first": FIRST,
    "anchored-fit": OURS.at(title="anchored (ours), as the node has it", references=FITTED),
    "anchored-told": OURS.at(title="anchored, the companion named by the user", references=replace(FITTED, told=True)),
    "class-anchor": Method(
        "anchored, anchored on images of the class", ClassAnchored(), lr=8e-3, references=replace(APART, places=SAY)
    ),
    "two-stages": Method("two stages", ClassImageLearning(), lr=4e-3, stages=Stages("anchored-node")),
    "two-stages-half": Method(
        "two stages, half the steps each", ClassImageLearning(), lr=4e-3, stages=Stages("anchored-node", 0.5)
    ),
    "two-stages-moved": Method(
        "two stages, half the steps each, references moved where they share a place",
        ClassImageLearning(),
        lr=4e-3,
        stages=Stages("anchored-apart", 0.5),
    ),
    "two-stages-large": SINGLE.at(
        title="PureCC (class images), large references as they are",
        references=APART,
        stages=Stages("anchored-apart", 0.5),
    ),
    "two-stages-late": SINGLE,
    "two-stages-node": LATE,
    "two-stages-told": SINGLE.at(
        title="PureCC (class images), the companion named by the user",
        references=replace(FITTED, told=True),
        stages=Stages("anchored-told", 0.5),
    ),
}
"""By short name. Rates and weights are those of the best score in the search on the development concepts. Of LoRA,
EWC and BPP another is taken, which is within the noise of the best and learns the concept better (.67 for .50, .50 for
.25 and .62 for .53), so that what they are beaten by is beaten fairly. What was not searched has the setting of its
nearest relative that was."""

SEARCH: dict[str, list[dict[str, float]]] = {
    "lora-token": [{"lr": lr} for lr in (5e-4, 1e-3, 2e-3, 4e-3)],
    "prior": [{"lr": lr, "weight": m} for lr in (1e-3, 2e-3) for m in (1.0, 3.0)],
    "dop": [{"lr": lr, "weight": m} for lr in (2e-3, 4e-3) for m in (1.0, 3.0)],
    "bpp": [{"lr": lr, "weight": m} for lr in (2e-3, 4e-3) for m in (1.0, 3.0)],
    "ewc": [{"ewc": weight} for weight in (0.003, 0.01, 0.03, 0.1)],
    "purecc": [{"lr": lr, "eta": eta} for lr in (1e-3, 2e-3) for eta in (1.0, 2.0)],
    "purecc-base": [{"lr": lr, "eta": eta} for lr in (2e-3, 4e-3) for eta in (0.5, 1.0)],
    "anchored": [{"lr": lr, "weight": m} for lr in (4e-3, 8e-3) for m in (0.3, 1.0)],
}
"""The same number of settings for every method that may be claimed, around where first trials found it best."""

CLAIMED = ("lora-token", "dop", "purecc", "anchored")
"""The methods that are run on the claim concepts, beside the base."""

RIVALS = ("lora-token", "anchored")
"""Those that are run on the unseen sets."""

PLACED = (*RIVALS, "anchored-say", "anchored-auto", "anchored-node", "anchored-apart")
"""Those that are run in the phase of the places, on every set that shows things."""

STAGED = (
    "anchored-node", "anchored-apart", "class-anchor", "two-stages-half", "two-stages-moved", "two-stages",
    "two-stages-late",
    "lora-token", "purecc",
)  # fmt: skip
"""Two stages on images of the class, and what they are compared with."""

SIZED = ("lora-token", "anchored-apart", "anchored-fit", "two-stages-large", "two-stages-late")
"""On things taken from near by, as they are and made smaller."""

NAMING = ("anchored-fit", "anchored-told", "two-stages-late", "two-stages-told")
"""On a companion that is no word that is tried, and then named."""

MOVING = ("anchored-node", "anchored-fit")
"""On references that share one place, which is said, or said and changed."""

RECLAIMED = ("anchored-fit", "lora-token", "ewc", "two-stages-node")
"""Those of the second claim: the node's default, LoRA, the best of the other baselines in the ablations, and ours."""

LATER = {*PLACED, *STAGED, *SIZED, *NAMING, "two-stages-node", "anchored-first"}.difference(CLAIMED)
"""Those that came after the ablations."""
