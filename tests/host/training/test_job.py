"""A job, and what is settled of it for the references at hand."""

import math
from dataclasses import replace

import genuine
import pytest
import runs
import torch


def anchored(**values):
    from purecc_pack.purecc.method.anchored import AnchoredLearning

    return AnchoredLearning(**values)


def auto(**values):
    from purecc_pack.purecc.network.lora import LoraSpec

    return runs.job(recipe=anchored(), lora=LoraSpec(targets="auto"), **values)


@pytest.fixture
def style(dataset):
    return replace(dataset, concept=replace(dataset.concept, kind="style"))


def test_a_thing_has_masks_and_the_layers_of_a_thing(models, dataset):
    job = auto().resolve(dataset, models.model)
    assert job.lora.targets == "attention and mlp" and job.recipe == anchored()


def test_a_style_has_the_modulation_at_half_strength_and_no_mask(models, style):
    job = auto().resolve(style, models.model)
    assert job.lora.targets == "modulation" and job.recipe == anchored(strength=0.5, masked=False)


def test_a_style_keeps_masks_that_it_is_given(models, style):
    first, *others = style.items
    given = replace(style, items=(replace(first, mask=torch.ones(1, 1, 8, 8)), *others))
    assert auto().resolve(given, models.model).recipe.needs_mask and not style.will_have_masks


def test_what_the_user_set_stays(models, style):
    watched = {"drift_every": 7, "drift_prompts": ("a", "b", "c")}
    job = runs.job(recipe=anchored(strength=1.0, masked=False), shift=1.5, **watched)
    assert job.resolve(style, models.model) == job


def test_drift_is_measured_as_often_as_is_affordable(models, dataset):
    from purecc_pack.purecc.training.drift import affordable

    job = auto(steps=200, drift_prompts=tuple("abcdefgh"))
    watch = job.resolve(dataset, models.model).watch
    count, every = affordable(8, anchored().work * job.settings.batch, 200)
    assert (watch.drift_prompts, watch.drift_every) == (tuple("abcdefgh")[:count], every)


def test_the_shift_is_the_model_s_own_unless_the_user_sets_one(models, dataset):
    assert runs.job().resolve(dataset, models.model).settings.shift == 3.0
    own = models.model.clone()
    sampling = own.get_model_object("model_sampling")
    changed = type(sampling)(models.model.model.model_config)
    changed.set_parameters(shift=1.25)
    own.add_object_patch("model_sampling", changed)
    assert runs.job().resolve(dataset, own).settings.shift == 1.25
    assert runs.job(shift=2.0).resolve(dataset, own).settings.shift == 2.0


@pytest.mark.parametrize(
    ("name", "shift"),
    [
        ("Flux.1-dev", math.exp(1.15)),
        ("Flux.1-schnell", 1.0),
        ("Flux.2-klein", math.exp(2.02)),
        ("SD3.5-medium", 3.0),
        ("Wan2.1/2.2-A14B", 8.0),
        ("Z-Image", 3.0),
        ("SDXL", None),
    ],
)
def test_the_shift_of_a_family_is_that_of_its_sampler(dataset, name, shift):
    """Flux and its kin give μ, the logarithm of the shift; the steps of samples and drift follow the same schedule."""
    from purecc_pack.purecc.host.models.noise_path import noise_path

    model = genuine.patcher_of(genuine.build(name)[1])
    sampling = model.get_model_object("model_sampling")
    for asked, wanted in ((None, shift), (2.5, 2.5)):
        job = runs.job(shift=asked, layer_wise=False).resolve(dataset, model)
        assert job.settings.shift == (wanted if wanted is None else pytest.approx(wanted, rel=1e-6))
    steps = noise_path(sampling).steps(4)
    if shift is not None:
        even = torch.tensor([1.0, 0.75, 0.5, 0.25, 0.0])
        own = [float(sampling.percent_to_sigma(1 - float(t))) for t in even]
        torch.testing.assert_close(steps, torch.tensor(own), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["SDXL", "Flux.1-dev", "Cosmos-Predict2"])
def test_min_snr_is_for_networks_that_predict_noise(dataset, name):
    model = genuine.patcher_of(genuine.build(name)[1])
    job = runs.job(weighting="min-SNR", layer_wise=False)
    if name == "SDXL":
        assert job.resolve(dataset, model) == job
    else:
        with pytest.raises(ValueError, match=r"loss_weighting is 'min-SNR'.*velocity"):
            job.resolve(dataset, model)


@pytest.mark.parametrize("name", ["Chroma", "SDXL"])
def test_a_group_of_layers_that_a_family_lacks(style, name):
    from purecc_pack.purecc.network.lora import LoraSpec

    model = genuine.patcher_of(genuine.build(name)[1])
    job = replace(auto(), embedding=replace(auto().embedding, layer_wise=False))
    assert job.resolve(style, model).lora.targets == "attention and mlp"
    with pytest.raises(ValueError, match=f"{name}.*'modulation'"):
        replace(job, lora=LoraSpec(targets="modulation")).resolve(style, model)
    assert auto().resolve(style, model).embedding.layer_wise


def test_layer_wise_vectors_where_the_rows_of_the_concept_are_not_known(style):
    model = genuine.patcher_of(genuine.build("HunyuanDiT")[1])
    with pytest.raises(ValueError, match=r"layer_wise.*HunyuanDiT"):
        auto().resolve(style, model)


def test_a_resolved_job_is_settled(models, dataset, style):
    for data in (dataset, style):
        job = auto(drift_prompts=("a lake", "a hill")).resolve(data, models.model)
        assert job.resolve(data, models.model) == job


def test_drift_without_prompts_is_refused(models, dataset):
    with pytest.raises(ValueError, match="drift_prompts"):
        runs.job(drift_every=1).resolve(dataset, models.model)


def test_the_metadata_of_an_adapter_keeps_its_form(learned):
    import json

    recipe = json.loads(learned.adapter.metadata["purecc.recipe"])
    assert list(recipe)[-9:] == [
        "lora", "settings", "input_token", "layer_wise", "concept_by", "precision", "places", "companion",
        "size",
    ]  # fmt: skip
    assert recipe["method"] == "PureLearning" and recipe["settings"]["pass_limit"] is None
    assert list(recipe["settings"]) == [
        "steps", "batch", "accumulation", "lr", "embedding_lr", "schedule", "warmup", "weight_decay", "clip",
        "density", "shift", "seed", "pass_limit",
    ]  # fmt: skip
