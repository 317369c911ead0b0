"""The methods that are compared, as recipes of the one loop."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Method:
    """A way to customise.

    Attributes:
        title: as the table names it.
        stage_one: whether an extractor is trained first.
        recipe: of the second stage; None: the base, or, with `stage_one`, the extractor itself.
    """

    title: str
    stage_one: bool
    recipe: object | None


def methods(recipes) -> dict[str, Method]:
    """The table's methods by short name; the last stage of each has as many steps as any other's.

    Args:
        recipes: the pack's module of recipes.
    """
    untouched = recipes.PureLearning(v_original="base")
    return {
        "base": Method("base", False, None),
        "lora": Method("plain LoRA (3), which is stage 1", True, None),
        "dop": Method("DOP, m = 1", False, recipes.OutputPreservation("base", 1.0)),
        "purecc": Method("PureCC as in the paper", True, recipes.PureLearning()),
        "purecc-base": Method("PureCC, v_original from the untouched base", True, untouched),
    }
