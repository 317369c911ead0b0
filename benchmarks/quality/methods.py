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
        steps: of the second stage.
    """

    title: str
    stage_one: bool
    recipe: object | None
    steps: int


def methods(recipes, steps: int) -> dict[str, Method]:
    """The table's methods by short name; all train for as many steps in their last stage.

    Args:
        recipes: the pack's module of recipes.
        steps: of each stage.
    """
    return {
        "base": Method("base", False, None, 0),
        "extractor": Method("stage 1 (extractor)", True, None, steps),
        "lora": Method("plain LoRA (3)", False, recipes.ConceptCustomisation(), 2 * steps),
        "dop": Method("DOP, m = 1", False, recipes.OutputPreservation("base", 1.0), 2 * steps),
        "purecc": Method("PureCC as in the paper", True, recipes.PureLearning(), steps),
        "purecc-base": Method(
            "PureCC, v_original from the untouched base", True, recipes.PureLearning(v_original="base"), steps
        ),
    }
