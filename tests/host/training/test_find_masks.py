"""Masks found on the user's model: what is kept, what is told, and that the model stays as it was."""

from dataclasses import replace

import pytest
import runs
import torch

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def few_samples(comfyui, monkeypatch):
    """Half of the passes; every test here needs them."""
    from purecc_pack.purecc.training import concept_masks

    monkeypatch.setattr(concept_masks, "SAMPLES", 4)


@pytest.fixture
def coarse(comfyui, monkeypatch):
    """Masks before their colours are looked at."""
    from purecc_pack.purecc.host.training import find_masks

    monkeypatch.setattr(find_masks, "sharpened", lambda pictures, masks: masks)


@pytest.fixture
def wide(comfyui, monkeypatch):
    """Companions are looked for beside any mask: a model with random weights finds but one thing."""
    from purecc_pack.purecc.training import companions

    monkeypatch.setattr(companions, "WIDE", 0.0)


def anchored(**values):
    from purecc_pack.purecc.method.anchored import AnchoredLearning

    return AnchoredLearning(**values)


def job(strength=None, **values):
    return runs.job(
        recipe=anchored(strength=strength), pool_images=2, pool_prompts=("a lake",), **{"steps": 1, **values}
    )


def find(models, dataset, quiet=None, found=lambda: None, **values):
    from purecc_pack.purecc.host.training.find_masks import find_masks

    with torch.inference_mode():
        return find_masks(models, dataset, (quiet or runs.Quiet()).phase, found, **values).dataset


@pytest.fixture
def given(dataset):
    """The dataset with a mask for its second picture."""
    first, second, third = dataset.items
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 2:5, 3:6] = 1.0
    return replace(dataset, items=(first, replace(second, mask=mask), third))


@pytest.mark.usefixtures("wide")
def test_every_picture_gets_a_mask_and_the_models_stay(checkpoint, dataset):
    own = runs.load(checkpoint)
    before, alive = runs.state(own), runs.census()
    quiet, done = runs.Quiet(), []
    found = find(own, dataset, quiet, lambda: done.append(1))
    assert runs.state(own) == before and runs.census() == alive
    assert [i.texts for i in found.items] == [i.texts for i in dataset.items]
    for ours, plain in zip(found.items, dataset.items, strict=True):
        assert torch.equal(ours.latents, plain.latents) and plain.mask is None
        assert ours.mask.shape == (1, 1, 8, 8)
        assert 0 <= float(ours.mask.min()) < float(ours.mask.max()) <= 1
    looked = [("FIND_MASKS", {"word": "robot", "number": k, "count": 3}) for k in (1, 2, 3)]
    beside = [("FIND_COMPANION", {"word": "robot", "number": k, "count": 6}) for k in range(1, 7)]
    at = quiet.phases.index(looked[0])
    assert quiet.phases[at : at + 3] == looked and len(done) == 3
    assert quiet.phases[at + 3 :] in (beside[:3], beside), "no second look where nothing is likely"


def test_masks_are_the_coarse_ones_sharpened_together(models, dataset, monkeypatch):
    from purecc_pack.purecc.host.training import find_masks
    from purecc_pack.purecc.training.sharpening import sharpened

    found = find(models, dataset, companion=())
    monkeypatch.setattr(find_masks, "sharpened", lambda pictures, masks: masks)
    before = find(models, dataset, companion=())
    sharp = sharpened([item.image for item in before.items], [item.mask[0, 0] for item in before.items])
    assert all(torch.equal(item.mask[0, 0], mask) for item, mask in zip(found.items, sharp, strict=True))


@pytest.mark.usefixtures("coarse")
def test_it_is_what_the_model_itself_says(models, dataset):
    """Against the host's own sampling path: what the prompt changes or the base gets wrong."""
    from purecc_pack.purecc.method import maps
    from purecc_pack.purecc.training import concept_masks

    item = dataset.items[0]
    x0 = models.model.model.process_latent_in(item.latents)
    noise = torch.randn(concept_masks.SAMPLES, 16, 8, 8, generator=torch.Generator().manual_seed(0))
    times = torch.linspace(0.15, 0.5, concept_masks.SAMPLES)
    conds = [runs.encode(models.clip, text) for text in ("a robot", "", item.texts.base)]
    squares, wrong_by = [], []
    for n, t in zip(noise.split(1), times.split(1), strict=True):
        named, empty, base = runs.velocity(models.model, (1 - t) * x0 + t * n, t, *conds).split(1)
        squares.append((named - empty).square())
        wrong_by.append((n - x0) - base)
    clusters = maps.threshold(maps.blur(torch.cat(squares).mean((0, 1), keepdim=True).sqrt()))
    new = torch.cat(wrong_by).mean(0, keepdim=True).square().mean(1, keepdim=True).sqrt()
    expected = torch.maximum(clusters, maps.threshold(maps.blur(new)))
    kept = find(models, dataset, companion=())
    found = next(i for i in kept.items if i.texts == item.texts)
    torch.testing.assert_close(found.mask, expected, rtol=5e-3, atol=5e-3)


@pytest.mark.usefixtures("coarse")
def test_every_variant_has_its_own(models):
    data = runs.build(models, runs.pictures(1), ["a [v] robot"], flip=True)
    (item,) = find(models, data).items
    assert item.mask.shape == (2, 1, 8, 8)
    (plain,) = find(models, runs.build(models, runs.pictures(1), ["a [v] robot"])).items
    torch.testing.assert_close(item.mask[:1], plain.mask)
    assert not torch.allclose(item.mask[0], item.mask[1], atol=1e-2)


def test_masks_of_the_user_stay(models, given):
    found = find(models, given)
    assert torch.equal(found.items[1].mask, given.items[1].mask)
    assert found.items[0].mask is not None and found.items[2].mask is not None
    quiet = runs.Quiet()
    assert find(models, found, quiet) is found and not quiet.phases, "nothing to look for, nothing is copied"


def test_a_style_has_none(models):
    data = runs.build(models, captions=["a house, in [v] style"], kind="style", class_word="style")
    quiet = runs.Quiet()
    assert find(models, data, quiet) is data and not quiet.phases


@pytest.mark.parametrize("way", [1, -1], ids=["as listed", "listed backwards"])
def test_training_finds_them_and_shows_them_as_listed_before_the_first_step(models, dataset, way):
    dataset = replace(dataset, items=dataset.items[::way])
    quiet = runs.Quiet(at_step=lambda step: seen.append(len(quiet.masked)))
    seen = []
    out = runs.customise(models, dataset, job(), quiet)
    (shown,) = quiet.masked
    assert seen == [1] and out.history.steps
    expected = find(models, dataset)
    assert [i.texts for i in shown.items] == [i.texts for i in expected.items] == [i.texts for i in dataset.items]
    for ours, theirs in zip(shown.items, expected.items, strict=True):
        torch.testing.assert_close(ours.mask, theirs.mask)


def test_training_with_given_masks_is_training_with_found_ones(models, dataset):
    found = find(models, dataset)
    automatic, kept = (runs.customise(models, data, job()).adapter for data in (dataset, found))
    assert automatic.id == kept.id
    nothing = tuple(replace(i, mask=torch.zeros(1, 1, 8, 8)) for i in dataset.items)
    assert runs.customise(models, replace(dataset, items=nothing), job()).adapter.id != kept.id


def test_no_masks_are_looked_for_where_none_are_used(models, dataset):
    from purecc_pack.purecc.method.pure_learning import ConceptCustomisation

    quiet = runs.Quiet()
    runs.customise(models, dataset, runs.job(recipe=ConceptCustomisation(), steps=1), quiet)
    unmasked = runs.job(recipe=anchored(masked=False, replay=False), steps=1)
    runs.customise(models, dataset, unmasked, quiet)
    style = runs.build(models, captions=["a house, in [v] style"], kind="style", class_word="style")
    runs.customise(models, style, job(), quiet)
    assert not quiet.masked and "FIND_MASKS" not in [name for name, _ in quiet.phases]


def test_a_style_is_fitted(models, dataset):
    """Layers left open become the modulation, where a style has half strength; a thing has others, and all of it."""
    from purecc_pack.purecc.network.lora import LoraSpec

    def learned(data, targets, strength=None):
        lora = LoraSpec(rank=2, targets=targets)
        return runs.customise(models, data, job(strength=strength, lora=lora)).adapter

    style = runs.build(models, captions=["a house, in [v] style"], kind="style", class_word="style")
    left_open = learned(style, "auto")
    assert left_open.id == learned(style, "modulation", 0.5).id != learned(style, "modulation", 1.0).id
    assert learned(dataset, "auto").id == learned(dataset, "attention and mlp", 1.0).id


@pytest.mark.parametrize("phase", [("FIND_MASKS", 2), ("FIND_COMPANION", 2), ("COPY_MODEL", None)])
@pytest.mark.usefixtures("wide")
def test_cancel(checkpoint, dataset, phase):
    from comfy import model_management

    own = runs.load(checkpoint)
    before, alive = runs.state(own), runs.census()

    def cancel(told):
        name, values = quiet.phases[-1]
        if (name, values.get("number")) == phase:
            model_management.interrupt_current_processing()

    for work in (find, lambda *given: runs.customise(*given[:2], job(), given[2])):
        quiet = runs.Quiet(at_phase=cancel)
        try:
            with pytest.raises(model_management.InterruptProcessingException) as raised:
                work(own, dataset, quiet)
        finally:
            model_management.interrupt_current_processing(False)
        del raised
        begun = [(name, values.get("number")) for name, values in quiet.phases[-2:]]
        assert phase in begun, "at most one more was begun"
        assert runs.state(own) == before and runs.census() == alive


def test_what_cannot_be_right_is_said(dataset):
    from purecc_pack.purecc.host.training.find_masks import Masked, remarks

    def with_shares(*shares):
        masks = [torch.full((1, 1, 8, 8), s) for s in shares]
        return replace(dataset, items=tuple(replace(i, mask=m) for i, m in zip(dataset.items, masks, strict=True)))

    (line,) = remarks(Masked(with_shares(0.1, 0.3, 0.85)))
    assert "10%" in line and "85%" in line
    first, everything, nothing = remarks(Masked(with_shares(0.95, 0.3, 0.01)))
    assert "1%" in first and "95%" in first
    assert repr(dataset.items[0].texts.complete) in everything and "95%" in everything
    assert repr(dataset.items[2].texts.complete) in nothing and "1%" in nothing
    style = replace(dataset, concept=replace(dataset.concept, kind="style"))
    assert len(remarks(Masked(style))) == 1
