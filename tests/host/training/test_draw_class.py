"""A whole second stage on images of the class: it sees no reference, and draws its images once."""

from random import Random

import pytest
import runs
import torch

pytestmark = pytest.mark.slow
CAPTIONS = (
    ("a [v] robot on the left on sand", "a [v] robot on sand"),
    ("a [v] robot in the middle on snow", "a [v] robot in the middle"),
    ("a [v] robot on the right on grass", "a [v] robot"),
)


def job(**values):
    from purecc_pack.purecc.method.two_stages import ClassImageLearning

    given = {"pool_captions": CAPTIONS, "pool_images": 2, **values}
    return runs.job("second", ClassImageLearning(), trace_steps=frozenset([1, 2, 3]), **given)


def test_steps_sample_what_the_base_draws_and_no_reference(models, dataset, extractor):
    listener = runs.Quiet()
    out = runs.customise(models, dataset, job(), listener, extractor)
    sampled = [values["count"] for name, values in listener.phases if name == "SAMPLE_POOL"]
    assert set(sampled) == {2, 3} and not listener.masked
    references = [models.model.model.process_latent_in(i.latents[0]) for i in dataset.items]
    for trace in out.traces.values():
        x0 = trace["x_t"] - trace["t"].view(-1, 1, 1, 1) * trace["target"]
        assert all(float((x - r).square().mean()) > 0.01 for x in x0 for r in references)
    assert out.history.steps[0].losses["concept"] > 0 and out.adapter.kind == "adapter"


def test_other_latents_of_the_references_change_only_how_the_concept_starts(models, dataset, extractor):
    """x_t comes from the base and the seed alone."""
    other = runs.build(models, runs.pictures(seed=7))
    traces = [runs.customise(models, data, job(), extractor=extractor).traces[1] for data in (dataset, other)]
    assert torch.equal(traces[0]["x_t"], traces[1]["x_t"])
    assert torch.equal(traces[0]["v.extractor.target"], traces[1]["v.extractor.target"])


def test_without_captions_they_come_from_grounds_and_styles_which_cannot_be_empty(models, dataset, extractor):
    listener = runs.Quiet()
    runs.customise(models, dataset, job(pool_captions=(), pool_images=5), listener, extractor)
    assert {values["count"] for name, values in listener.phases if name == "SAMPLE_POOL"} == {5}
    with pytest.raises(ValueError, match=r"^class_grounds is empty"):
        runs.customise(models, dataset, job(pool_captions=(), pool_grounds=()), extractor=extractor)


def test_references_join_at_little_noise_inside_their_masks(models, dataset, extractor):
    """Some samples of a step are references, all at t below a half, and their masks are found."""
    from dataclasses import replace

    from purecc_pack.purecc.method.two_stages import ClassImageLearning

    mask = torch.ones(1, 1, 8, 8)
    masked = replace(dataset, items=tuple(replace(i, mask=mask) for i in dataset.items))
    steps = 8
    given = replace(job(batch=4, steps=steps), recipe=ClassImageLearning(below=0.5))
    given = replace(given, watch=replace(given.watch, trace_steps=frozenset(range(1, steps + 1))))
    out = runs.customise(models, masked, given, extractor=extractor)
    references = [models.model.model.process_latent_in(i.latents[0]) for i in dataset.items]
    seen = []
    for trace in out.traces.values():
        x0 = trace["x_t"] - trace["t"].view(-1, 1, 1, 1) * trace["target"]
        for x, t in zip(x0, trace["t"].tolist(), strict=True):
            seen.append((any(float((x - r).square().mean()) < 1e-4 for r in references), t))
    times = [t for is_reference, t in seen if is_reference]
    assert 8 <= len(times) <= 24 and max(times) < 0.5 < max(t for is_reference, t in seen if not is_reference)


def test_its_captions_decide_what_a_run_is_and_no_other_s(models, dataset):
    from dataclasses import replace

    from purecc_pack.purecc.host.training.identity import identify
    from purecc_pack.purecc.method.anchored import AnchoredLearning

    def settings(recipe, captions):
        changed = job(pool_captions=captions)
        changed = replace(changed, recipe=recipe or changed.recipe)
        return identify("", [], dataset, changed).settings

    assert settings(None, CAPTIONS) != settings(None, CAPTIONS[:1])
    anchored = settings(AnchoredLearning(), CAPTIONS)
    assert anchored == settings(AnchoredLearning(), ()) and "pool.captions" not in anchored


def test_beside_another_thing_the_concept_is_learned_on_its_own_side_alone(models, extractor, monkeypatch):
    """Both sides come out right in all of eight images of the embedded base, from its evidence and no caption."""
    from purecc_pack.purecc.host.training import session
    from purecc_pack.purecc.training import concept_masks, pool
    from purecc_pack.purecc.training.class_images import class_captions

    monkeypatch.setattr(pool, "STEPS", 10)  # as many as users have: fewer draw no things
    monkeypatch.setattr(concept_masks, "SAMPLES", 8)
    grounds = ("on sand", "on grass", "on snow", "on waves")
    captions = class_captions("robot", grounds, (), 24, Random(0), others=("a blue cup", "a green fish", "a red tree"))
    data = runs.build(models, list(torch.zeros(1, 1, 96, 96, 3)), ("a [v] robot",))
    with session.prepared(models, data, job(pool_captions=captions), runs.Quiet(), extractor) as made:
        items = made.sampled.items
    others = {c.told: c.other for c in captions}
    assert all(i.drawn for i in items) and sum(i.mask is not None for i in items) == 8
    for item in items:
        told = item.texts.target
        assert (item.mask is not None) == bool(others[told])
        if item.mask is not None:
            left, right = (float(half.mean()) for half in item.mask.chunk(2, -1))
            concepts, others_side = (left, right) if "robot on the left" in told else (right, left)
            assert concepts > 0.85 > 0.25 > others_side, told
