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
        ("ApplyAdapter", {"model": None, "clip": None}, "model is not connected. Connect an output of the type MODEL"),
        ("ConceptDataset", {"vae": [None]}, "vae is not connected. Connect an output of the type VAE"),
        ("PureLearning", {"method": None}, "method is empty. Give it a value"),
        ("TrainingCurves", {"loss": {}}, "loss has no losses of steps. Connect the loss of a training node"),
        ("TrainingCurves", {"loss": {"loss": [1.0]}, "loss_2": {"a": 1}}, "loss_2 has no losses of steps. Connect"),
        ("CompareAdapters", {"cfg": float("nan")}, "cfg is nan, which is not a finite number. Set it to a number"),
        (
            "PureLearning",
            {"learning_rate": float("inf")},
            "learning_rate is inf, which is not a finite number. Set it to",
        ),
        ("TrainingCurves", {"loss": [1.0]}, "loss is .*, which is no LOSS_MAP"),
        (
            "ModelDrift",
            {**dict.fromkeys(("model", "clip", "customised_model", "customised_clip"), object()), "prompts": "\ud800"},
            "prompts: The text .* half of a character. Remove it",
        ),
        ("ConceptDataset", {"captions": ["a", "b" * 100_001]}, "captions has 100001 letters. Shorten it to at most"),
        ("ConceptDataset", {"images": [torch.zeros(1)] * 10_001}, "images is a list of 10001. Connect at most 10000"),
    ],
)
def test_a_value_in_place_of_a_wire(comfyui, node, values, message):
    from purecc_pack import nodes

    with pytest.raises(ValueError, match=f"^{message}"):
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
