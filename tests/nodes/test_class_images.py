"""Two stages on images of the class, by the nodes: an anchored extractor, then learning on what the base generates."""

import pytest
import runs
from trainers import extract, learn

pytestmark = pytest.mark.slow

TWO = {"method": "PureCC (class images)"}


@pytest.fixture(autouse=True)
def few_samples(comfyui, monkeypatch):
    from purecc_pack.purecc.training import concept_masks

    monkeypatch.setattr(concept_masks, "SAMPLES", 4)


def test_an_extractor_learns_as_anchored(models, dataset):
    from purecc_pack.purecc.method.anchored import AnchoredLearning

    found, _ = extract(models, dataset, name="mine", method="anchored", anchor_weight=2.0, pool_images=2)
    anchored = {"pool_images": 2, "pool_prompts": pool_prompts(), "places": "auto", "size": "fit"}
    anchored["lora"] = suited()
    job = runs.job("mine", AnchoredLearning(2.0), kind="extractor", steps=2, layer_wise=False, **anchored)
    assert found.kind == "extractor" and found.id == runs.customise(models, dataset, job).adapter.id


def suited():
    from purecc_pack.purecc.network.lora import AUTO, LoraSpec

    return LoraSpec(targets=AUTO)


def pool_prompts():
    from purecc_pack.purecc.training.pool import POOL_PROMPTS

    return POOL_PROMPTS


def test_pure_learning_on_images_of_the_class(models, dataset, extractor):
    """The node's captions: each line of the grounds and styles, at every place in turn."""
    from random import Random

    from purecc_pack.purecc.method.two_stages import ClassImageLearning
    from purecc_pack.purecc.training.class_images import class_captions

    given = {"class_grounds": "on sand\n\non the moon", "class_styles": "as a stamp", "anchor_weight": 0.5}
    adapter, _, loss = learn(models, dataset, extractor=extractor, **TWO, **given)
    rng = Random("robot class captions")
    captions = class_captions("robot", ("on sand", "on the moon"), ("as a stamp",), 2, rng)
    pool = {
        "pool_images": 2,
        "pool_prompts": pool_prompts(),
        "pool_captions": captions,
        "places": "auto",
        "size": "fit",
    }
    pool["lora"] = suited()
    job = runs.job("my_concept", ClassImageLearning(0.5, below=0.5), steps=2, layer_wise=False, **pool)
    assert adapter.id == runs.customise(models, dataset, job, extractor=extractor).adapter.id
    assert len(loss["loss"]) == 2
    recipe = adapter.metadata["purecc.recipe"]
    assert "ClassImageLearning" in recipe and '"below": 0.5' in recipe


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"class_grounds": " \n"}, "^class_grounds is empty"),
        ({"class_grounds": "on {sand|snow}"}, "^class_grounds: "),
        ({"class_styles": "by embedding:someone"}, "^class_styles: "),
        ({"class_styles": "like a [v] robot"}, "^class_styles: "),
    ],
)
def test_grounds_and_styles_that_cannot_be_used_are_named_before_any_work(models, dataset, extractor, values, message):
    before = runs.state(models)
    with pytest.raises(ValueError, match=message):
        learn(models, dataset, extractor=extractor, **TWO, **values)
    assert runs.state(models) == before


def test_a_style_is_refused(models):
    data = runs.build(models, captions=["a house, in [v] style"], kind="style", class_word="style")
    found, _ = extract(models, data)
    with pytest.raises(ValueError, match=r"^method .* style\. Choose the method anchored\."):
        learn(models, data, extractor=found, **TWO)


def test_without_an_extractor_it_is_refused_at_the_queue(comfyui):
    from purecc_pack.nodes import PureLearning, TrainExtractor

    assert str(PureLearning.validate_inputs({}, method=TWO["method"])).startswith("extractor is not connected")
    assert TrainExtractor.validate_inputs({}, method="PureCC (paper)") is True
    assert str(TrainExtractor.validate_inputs({}, method="DOP")).startswith("method is 'DOP'")
