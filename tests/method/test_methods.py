"""The table of methods, and how each fits a concept where the user leaves it open."""

import pytest


@pytest.mark.parametrize(
    ("method", "kind", "expected"),
    [
        ("anchored", "instance", "attention and mlp"),
        ("anchored", "style", "modulation"),
        ("PureCC (paper)", "instance", "attention"),
        ("PureCC (paper)", "style", "attention"),
        ("LoRA", "style", "attention"),
    ],
)
def test_target_layers(method, kind, expected):
    from purecc_pack.purecc.method.methods import METHODS, MethodOptions
    from purecc_pack.purecc.network.lora import TARGETS

    assert METHODS[method](MethodOptions()).target_layers(kind) == expected and expected in TARGETS


def test_the_strength_of_a_style():
    """Half on the modulation, where it was measured; whole elsewhere, for things, and for other methods."""
    from purecc_pack.purecc.method.anchored import AnchoredLearning
    from purecc_pack.purecc.method.pure_learning import PureLearning

    open_ = AnchoredLearning(weight=2.0)
    assert open_.fit("style", "modulation") == AnchoredLearning(weight=2.0, strength=0.5)
    assert AnchoredLearning(strength=0.8).fit("style", "modulation").strength == 0.8
    for recipe, targets, kind in (
        (open_, "attention", "style"),
        (open_, "modulation", "instance"),
        (PureLearning(), "modulation", "style"),
    ):
        assert recipe.fit(kind, targets) == recipe
