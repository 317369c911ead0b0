"""A value where only a wire makes sense is refused by the name of its input."""

import pytest
import runs
import torch


@pytest.mark.parametrize(
    ("node", "values", "message"),
    [
        ("SaveAdapter", {"adapter": 3, "overwrite": False}, "adapter is 3, which is no PURECC_ADAPTER"),
        ("ApplyAdapter", {"model": {}, "clip": "x", "adapter": None}, "model is {}, which is no MODEL"),
        ("ConceptDataset", {"images": ["x"], "class_word": ["dog"]}, "images is .*, which is no IMAGE"),
        ("PureLearning", {"model": True}, "model is True, which is no MODEL"),
        ("TrainExtractor", {"settings": 5}, "settings is 5, which is no PURECC_SETTINGS"),
        ("TrainingCurves", {"loss": [1.0]}, "loss is .*, which is no LOSS_MAP"),
    ],
)
def test_a_value_in_place_of_a_wire(comfyui, node, values, message):
    from purecc_pack import nodes

    with pytest.raises(ValueError, match=f"^{message}. Connect an output of that type"):
        runs.execute(getattr(nodes, node), **values)


@pytest.mark.parametrize(
    ("of", "value"),
    [
        ("IMAGE", torch.zeros(1)),
        ("IMAGE", [torch.zeros(1)]),
        ("IMAGE", []),
        ("LOSS_MAP", {"loss": []}),
        ("LATENT", [{}]),
    ],
)
def test_what_wires_bring_passes(comfyui, of, value):
    from purecc_pack.nodes.checked import value_fault

    assert value_fault("it", of, value) == ""
