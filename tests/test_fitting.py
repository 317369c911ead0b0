"""What a run is given where the user leaves it open."""

import pytest


@pytest.mark.parametrize(
    ("method", "kind", "expected"),
    [
        ("AnchoredLearning", "instance", "attention and mlp"),
        ("AnchoredLearning", "style", "modulation"),
        ("PureLearning", "instance", "attention"),
        ("PureLearning", "style", "attention"),
        ("ConceptCustomisation", "style", "attention"),
    ],
)
def test_layers(comfyui, method, kind, expected):
    from purecc_pack.purecc import fitting, recipes
    from purecc_pack.purecc.branches import TARGETS

    recipe = getattr(recipes, method)()
    assert fitting.layers("auto", recipe, kind) == expected and expected in TARGETS
    assert fitting.layers("all blocks", recipe, kind) == "all blocks"


def test_the_strength_of_a_style(comfyui):
    """Half on the modulation, where it was measured; whole elsewhere, for things, and for other methods."""
    from purecc_pack.purecc.fitting import fitted
    from purecc_pack.purecc.recipes import AnchoredLearning, PureLearning

    open_ = AnchoredLearning(weight=2.0)
    assert fitted(open_, "modulation", "style") == AnchoredLearning(weight=2.0, strength=0.5)
    assert fitted(AnchoredLearning(strength=0.8), "modulation", "style").strength == 0.8
    for recipe, targets, kind in (
        (open_, "attention", "style"),
        (open_, "modulation", "instance"),
        (PureLearning(), "modulation", "style"),
    ):
        assert fitted(recipe, targets, kind) == recipe
