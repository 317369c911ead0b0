"""What a run is given where the user leaves it open: by its method and the kind of its concept."""

from __future__ import annotations

from dataclasses import replace

from .recipes import AnchoredLearning, Recipe

AUTO = "auto"
"""Target layers that are left open."""
STYLE_STRENGTH = 0.5
"""s of a style on the modulation."""


def layers(targets: str, recipe: Recipe, kind: str) -> str:
    """The key of `branches.TARGETS` that AUTO stands for; any other value of `targets` stays.

    The paper's attention; for anchored learning what was measured best: attention and MLP for a thing, which has parts
    and a place, and the modulation for a style. That sees the text and the time but no picture, so that it does a style
    on grounds that no reference had.
    """
    if targets != AUTO:
        return targets
    if not isinstance(recipe, AnchoredLearning):
        return "attention"
    return "modulation" if kind == "style" else "attention and mlp"


def fitted(recipe: Recipe, targets: str, kind: str) -> Recipe:
    """The recipe as it is run: anchored learning of a style on the modulation has `STYLE_STRENGTH`, if s is not set.

    Args:
        recipe: the method.
        targets: a key of `branches.TARGETS`.
        kind: of the concept, "instance" or "style".
    """
    open_ = isinstance(recipe, AnchoredLearning) and recipe.strength is None
    if open_ and kind == "style" and targets == "modulation":
        return replace(recipe, strength=STYLE_STRENGTH)
    return recipe
