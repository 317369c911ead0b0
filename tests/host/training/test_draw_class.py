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


def test_beside_another_thing_the_concept_is_learned_on_its_own_side_alone(models, dataset, extractor):
    """Only images that show one have a mask, and all are the base's."""
    from purecc_pack.purecc.host.training import session

    captions = (*CAPTIONS, ("a [v] robot and a blue cup on sand", "a [v] robot and a blue cup", "a blue cup"))
    with session.prepared(models, dataset, job(pool_captions=captions), runs.Quiet(), extractor) as made:
        items = made.sampled.items
    assert [i.mask is not None for i in items] == [False, False, False, True] and all(i.drawn for i in items)
    assert items[3].mask.shape == items[3].latents[:, :1].shape and 0 <= items[3].mask.min() <= items[3].mask.max() <= 1


def test_the_base_tells_the_class_from_what_stands_beside_it(comfyui):
    """The embedded base draws both; their sides come from its evidence and no caption, right in all of eight images."""
    from purecc_pack.purecc.host.models.tiny import load_tiny_checkpoint
    from purecc_pack.purecc.training.class_images import apart, class_captions, class_items
    from purecc_pack.purecc.training.pool import generate_pool

    with torch.inference_mode():
        own = runs.Models(*load_tiny_checkpoint([]))
    grounds, others = ("on sand", "on grass", "on snow", "on waves"), ("a blue cup", "a green fish", "a red tree")
    captions = [c for c in class_captions("robot", grounds, (), 48, Random(0), others=others) if c.other]
    data = runs.build(own, [torch.rand(1, 96, 96, 3)], ("a [v] robot",))
    texts = ["a robot", "", *others, *(c.told.replace("[v] ", "") for c in captions)]
    with runs.at_work(own, data, job(pool_captions=()), texts=texts) as (branched, scaled), torch.no_grad():
        images = generate_pool(branched, class_items(scaled, captions), (), len(captions), 0)
        masks = [apart(branched, i, ("a robot", c.other)) for i, c in zip(images, captions, strict=True)]
    for caption, mask in zip(captions, masks, strict=True):
        left, right = (float(half.mean()) for half in mask.chunk(2, -1))
        its, others_side = (left, right) if "robot on the left" in caption.told else (right, left)
        assert its > 0.8 > 0.2 > others_side, caption.told
    assert len(masks) == 8
