"""Pure learning on images of the class: what it needs, its target written out, and what its gradients reach."""

from dataclasses import replace

import pytest
import runs
import torch
from loop import STILL, learnt, move, one_prior, run


def recipe(**values):
    from purecc_pack.purecc.method.two_stages import ClassImageLearning

    return ClassImageLearning(**values)


def velocities(of):
    """A random velocity for every pass of a recipe, and images of the class, of which no term reads but the mask."""
    from purecc_pack.purecc.method.recipe import Samples

    generator = torch.Generator().manual_seed(0)
    v = {p: torch.randn(2, 4, 12, 12, generator=generator) for p in of.passes}
    for p in v:
        v[p].requires_grad_(p.grad)
    nan = torch.full((2, 4, 12, 12), torch.nan)
    return v, Samples((), nan, nan[:, 0, 0, 0], nan, torch.ones(2, 1, 12, 12), torch.ones(2, dtype=torch.bool))


def test_it_needs_an_extractor_a_pool_and_images_of_the_class_and_no_mask():
    from purecc_pack.purecc.method.anchored import AnchoredLearning
    from purecc_pack.purecc.method.pure_learning import PureLearning

    ours = recipe()
    assert ours.needs_extractor and ours.needs_pool and ours.needs_class_images and not ours.needs_mask
    assert ours.fit("instance", "attention and mlp") == ours == ours.without_mask()
    assert not any(other.needs_class_images for other in (AnchoredLearning(), PureLearning()))
    assert ours.work == 6 + 4.5, "two passes with a gradient, four without and half of one"
    settings = {"weight": 1.0, "scale": 1.0, "below": 0.0}
    assert ours.describe() == {"method": "ClassImageLearning", **settings, "averaged": True}


@pytest.mark.parametrize("values", [{}, {"scale": 1.5}, {"weight": 0.3}])
def test_the_loss_is_the_one_written_out(values):
    """The images' own velocity does not count: it is NaN here."""
    from purecc_pack.purecc.method import maps
    from purecc_pack.purecc.method.recipe import Pass

    ours = recipe(**values)
    v, samples = velocities(ours)
    terms = ours.terms(v, samples, None)

    def of(branch, text, grad=False):
        return v[Pass(branch, text, grad)]

    shown = (of(None, "class") - of(None, "empty")).square().mean(1, keepdim=True).sqrt()
    where = torch.nn.functional.max_pool2d(maps.threshold(maps.blur(shown)), 3, 1, 1)
    v_b = of(None, "base")
    target = v_b + ours.scale * where * (of("extractor", "target") - v_b)
    concept = (of("learner", "complete", True) - target).square().mean((1, 2, 3))
    kept = (of("learner", "anchor", True) - of(None, "anchor")).square().mean((1, 2, 3))
    torch.testing.assert_close(terms.total, concept + ours.weight * kept)
    torch.testing.assert_close(terms.parts["concept"], concept.detach())
    torch.testing.assert_close(terms.parts["preservation"], kept.detach())
    assert float(terms.parts["expected"].min()) > 0 and float(terms.parts["expected"].max()) < 1
    assert not any(part.requires_grad for part in terms.parts.values())


def test_masks_of_references_and_of_images_of_the_class():
    """A reference is learned inside its mask, M v + (1 − M) v_PureCC; in an image of the class R ends with it."""
    from purecc_pack.purecc.method.anchored import EXPECTED, expected
    from purecc_pack.purecc.method.recipe import COMPLETE, Pass

    ours = recipe(below=0.5)
    assert ours.needs_mask and ours.latest == 0.5 and recipe().latest == 0
    v, samples = velocities(ours)
    mask = torch.zeros(2, 1, 12, 12)
    mask[:, :, 3:9, 3:9] = 0.7
    target = torch.randn(2, 4, 12, 12, generator=torch.Generator().manual_seed(1))
    got = ours.terms(v, replace(samples, target=target, mask=mask, drawn=torch.tensor([True, False])), None)
    v_b, where = v[Pass(None, "base")], expected(*(v[p] for p in EXPECTED))
    residual = v[Pass("extractor", "target")] - v_b
    of_class = v_b + mask * where * residual
    of_reference = mask * target + (1 - mask) * (v_b + where * residual)
    wanted = torch.stack([of_class[0], of_reference[1]])
    torch.testing.assert_close(got.parts["concept"], (v[COMPLETE] - wanted).square().mean((1, 2, 3)).detach())
    assert float((of_class[0] - of_reference[0]).abs().max()) > 0.1
    assert float(got.parts["expected"][0]) < float(where[0].mean()), "no further than the mask of the class"


def test_nothing_is_to_be_learned_where_the_extractor_is_the_base():
    from purecc_pack.purecc.method.recipe import COMPLETE, Pass

    ours = recipe()
    v, samples = velocities(ours)
    v |= {COMPLETE: v[Pass(None, "base")], Pass("extractor", "target"): v[Pass(None, "base")]}
    assert ours.terms(v, samples, None).parts["concept"].tolist() == [0.0, 0.0]


@pytest.fixture
def second(models, dataset, extractor):
    """(branched, items with a teacher's texts) of the second stage, both LoRAs moved off the base."""
    job = runs.job(recipe=recipe(), pool_captions=(("a [v] robot on the left on sand", "a [v] robot on sand"),))
    with runs.at_work(models, dataset, job, extractor) as (branched, data):
        move(branched)
        move(branched, "extractor", seed=5)
        from purecc_pack.purecc.training.class_images import class_items

        yield branched, replace(data, items=tuple(replace(i, drawn=True) for i in class_items(data, job.pool.captions)))


@pytest.mark.slow
def test_gradients_are_those_of_the_written_out_loss(second):
    """The teacher reads the whole caption, the learner its own; no gradient reaches extractor or base."""
    from purecc_pack.purecc.method.anchored import expected

    branched, data = second
    prior = one_prior(data)
    _, traces, (gradients,) = run(branched, data, recipe(), pool=prior, batch=1, **STILL)
    trace = traces[1]
    x_t, t = trace["x_t"], trace["t"]

    def v(branch, text):
        with torch.set_grad_enabled(branch == "learner"):
            return branched.run(branch, x_t, t, [text])

    v_b = v(None, "a robot on the left on sand")
    where = expected(v(None, "a robot"), v(None, ""))
    target = v_b + where * (v("extractor", "a [v] robot on the left on sand") - v_b)
    with torch.enable_grad():
        concept = (v("learner", "a [v] robot on sand") - target).square().mean()
    assert float(trace["loss.concept"]) == pytest.approx(concept.item(), rel=1e-4)
    assert float((v("extractor", "a [v] robot on the left on sand") - v_b).abs().max()) > 0.01
    assert all(p.grad is None for p in branched.branches.parameters("extractor"))
    assert any(g is not None and float(g.abs().max()) > 0 for g in gradients) and len(gradients) == len(
        learnt(branched)
    )
