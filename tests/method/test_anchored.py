"""Anchored learning in the loop: its passes, its loss written out, its coins, its pictures of the base's own."""

from dataclasses import replace

import pytest
import runs
import torch
from loop import STILL, learnt, move, one_prior, run, watched

pytestmark = pytest.mark.slow


def anchored(**values):
    from purecc_pack.purecc.method.anchored import AnchoredLearning

    return AnchoredLearning(**values)


RECIPES = {
    "whole": {},
    "without replay": {"replay": False},
    "without mask": {"masked": False},
    "without both": {"masked": False, "replay": False, "weight": 1.5},
    "with η": {"eta": 0.7},
    "at half strength": {"strength": 0.5},
    "at half strength, without mask": {"strength": 0.5, "masked": False},
    "without both, with η": {"masked": False, "replay": False, "eta": 0.7},
}
# (branch, samples, gradient) of one step's passes, batch 2: those of one branch and like gradient together,
# those without gradient first.
LEARNER, THETA1 = ("learner", 4, True), ("extractor", 4, False)
PASSES = {
    "whole": [(None, 8, False), LEARNER],
    "without replay": [(None, 6, False), LEARNER],
    "without mask": [(None, 2, False), LEARNER],
    "without both": [(None, 2, False), LEARNER],
    "with η": [(None, 8, False), THETA1, LEARNER],
    "at half strength": [(None, 8, False), LEARNER],
    "at half strength, without mask": [(None, 4, False), LEARNER],
    "without both, with η": [(None, 2, False), THETA1, LEARNER],
}


@pytest.fixture
def masked(models, dataset, extractor):
    """(branched, dataset) with θ1 and all prompts, θ2 moved off the base, every picture with its own mask."""
    with runs.at_work(models, dataset, runs.job(recipe=anchored(eta=1.0)), extractor) as (branched, data):
        move(branched)
        generator = torch.Generator().manual_seed(4)
        items = tuple(replace(i, mask=torch.rand(1, 1, 8, 8, generator=generator)) for i in data.items)
        yield branched, replace(data, items=items)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", list(RECIPES))
def test_passes_are_batched_and_make_no_graph_without_need(masked, name, seed):
    """A reference that anchors a sample is there for v_original already, and goes through the base once."""
    branched, data = masked
    recipe = anchored(**RECIPES[name])
    with watched(branched) as passes:
        run(branched, data, recipe, pool=one_prior(data), steps=2, seed=seed)
    repeats = recipe.replay and (recipe.masked or recipe.eta or recipe.strength)
    expected = []
    for complete, anchors in (x.chunk(2) for _, x, _, out in passes if out.requires_grad):
        again = sum(bool((a == b).all()) for a, b in zip(complete, anchors, strict=True)) if repeats else 0
        (branch, count, grad), *others = PASSES[name]
        expected += [(branch, count - again, grad), *others]
    assert [(branch, len(x), out.requires_grad) for branch, x, _, out in passes] == expected
    assert all(out.grad_fn is None for _, _, _, out in passes if not out.requires_grad)


def written_out(branched, recipe, items, trace, anchors):
    """The loss at a traced step; `anchors` is what the anchor was at: (x_t, t, texts)."""
    from purecc_pack.purecc.method import maps

    x_t, t, target = trace["x_t"], trace["t"], trace["target"]

    def v(branch, texts, grad=True, x=x_t, t=t):
        with torch.set_grad_enabled(grad):
            return branched.run(branch, x, t, texts)

    def mse(a, b):
        return (a - b).square().mean()

    x, s, prompts = anchors
    complete, base = v("learner", [i.texts.complete for i in items]), v(None, [i.texts.base for i in items], False)
    if recipe.strength is not None:
        target = recipe.strength * target + (1 - recipe.strength) * base
    loss = mse(complete, target)
    if recipe.masked:
        classes, nothing = v(None, ["a robot"] * 2, False), v(None, ["", ""], False)
        shown = (classes - nothing).square().mean(1, keepdim=True).sqrt()
        still = torch.nn.functional.max_pool2d(maps.threshold(maps.blur(shown)), 3, 1, 1)
        mask = torch.cat([i.mask for i in items])
        far = (1 - mask) * (1 - still)
        loss = (mask * (complete - target) ** 2 + far * (complete - base) ** 2).mean()
    loss = loss + recipe.weight * mse(v("learner", prompts, x=x, t=s), v(None, prompts, False, x, s))
    if recipe.eta:
        r_t = v("extractor", [i.texts.target for i in items], False) - v("extractor", ["", ""], False)
        r_c = (complete - base).flatten(1)
        scale = ((r_c * r_t.flatten(1)).sum(1) / r_t.flatten(1).square().sum(1)).detach().view(-1, 1, 1, 1)
        loss = loss + recipe.eta * mse(base + scale * r_t, complete)
    return loss


@pytest.mark.parametrize(("name", "seed"), [*((name, 0) for name in RECIPES), ("whole", 1), ("whole", 2), ("whole", 3)])
def test_gradients_are_those_of_the_written_out_loss(masked, models, dataset, name, seed):
    branched, data = masked
    recipe, prior = anchored(**RECIPES[name]), one_prior(data)
    with watched(branched) as passes:
        _, traces, (gradients,) = run(branched, data, recipe, pool=prior, seed=seed, **STILL)
    trace = traces[1]
    by_text = {i.texts.complete: i for i in data.items}
    items = [by_text[i.texts.complete] for i in runs.items_of(models, dataset, trace)]
    graded = next(p for p in passes if p[3].requires_grad)
    x, s = graded[1][2:], graded[2][2:]
    own = [bool((row == reference).all()) for row, reference in zip(x, trace["x_t"], strict=True)]
    assert all(own) or recipe.replay
    prompts = [i.texts.base if mine else prior[0].texts.base for i, mine in zip(items, own, strict=True)]
    with torch.enable_grad():
        loss = written_out(branched, recipe, items, trace, (x, s, prompts))
        with branched.branches.use("learner"):
            expected = torch.autograd.grad(loss, learnt(branched), allow_unused=True)
    assert float(trace["loss.total"].mean()) == pytest.approx(loss.item(), rel=1e-4)
    compared = 0
    for ours, theirs in zip(gradients, expected, strict=True):
        if ours is not None and theirs is not None:
            torch.testing.assert_close(ours, theirs, rtol=2e-3, atol=2e-3 * float(theirs.abs().max()) + 1e-9)
            compared += 1
    assert compared > len(expected) - 4


def samples(count, shape, start):
    """Samples with a number in every place."""
    from purecc_pack.purecc.method.recipe import Samples
    from purecc_pack.purecc.text.texts import parse_caption

    texts = tuple(parse_caption(f"a [v] robot, {start + k}", "robot") for k in range(count))
    value = torch.arange(start, start + count, dtype=torch.float32)
    full = value.view(-1, 1, 1, 1).expand(count, *shape)
    return Samples(texts, full, value, 10 * full, full[:, :1] / 100, value % 2 == 0)


def anchor(references, pool, seed=0, draws=1, recipe=None):
    """What the anchor stands for in so many draws."""
    from purecc_pack.purecc.training.batching import together

    generator = torch.Generator().manual_seed(seed)
    recipe = recipe or anchored()
    return [together(recipe, generator, references, pool).of("anchor") for _ in range(draws)]


class TestTheCoins:
    def test_each_sample_is_a_reference_or_the_base_s_own_half_of_the_time(self):
        references, pool = samples(4, (2, 3, 3), 0), samples(4, (2, 3, 3), 50)
        drawn = anchor(references, pool, draws=500)
        picked = torch.stack([d.t < 50 for d in drawn])
        assert 0.45 < float(picked.float().mean()) < 0.55
        together = (picked[:, 0] == picked[:, 1]).float().mean()
        assert 0.4 < float(together) < 0.6, "a coin for each sample, not one for all"

    def test_everything_of_a_sample_goes_together(self):
        references, pool = samples(4, (2, 3, 3), 0), samples(4, (2, 3, 3), 50)
        for d in anchor(references, pool, draws=20):
            for k, number in enumerate(d.t.tolist()):
                assert number in (k, 50 + k)
                assert d.texts[k].complete == f"a [v] robot, {number:.0f}"
                assert torch.equal(d.x_t[k], torch.full((2, 3, 3), number))
                assert torch.equal(d.target[k], torch.full((2, 3, 3), 10 * number))
                assert torch.equal(d.mask[k], torch.full((1, 3, 3), number) / 100)

    def test_pictures_of_two_shapes_share_one_coin(self):
        references, pool = samples(2, (2, 3, 3), 0), samples(2, (2, 3, 5), 50)
        drawn = [d is references for d in anchor(references, pool, draws=200)]
        assert all(d is references or d is pool for d in anchor(references, pool, draws=20))
        assert 70 < sum(drawn) < 130

    def test_other_texts_are_the_references_or_the_pool(self):
        from purecc_pack.purecc.method.baselines import PriorPreservation
        from purecc_pack.purecc.training.batching import together

        references, pool = samples(2, (2, 3, 3), 0), samples(2, (2, 3, 3), 50)
        generator = torch.Generator().manual_seed(0)
        before = generator.get_state()
        source = together(PriorPreservation(), generator, references, pool).of
        assert source("pool") is pool and source("base") is references and source("complete") is references
        assert torch.equal(generator.get_state(), before), "who tosses no coin draws nothing"


def test_accumulated_batches_of_one_are_a_batch_of_two(masked, monkeypatch):
    from purecc_pack.purecc.method.recipe import Samples
    from purecc_pack.purecc.training import batching
    from purecc_pack.purecc.training.dataset import Batches

    branched, data = masked
    generator = torch.Generator().manual_seed(0)
    whole = [
        batching.noised(Batches(items, 2, generator), runs.settings(), branched.field, generator)
        for items in (data.items, one_prior(data))
    ]

    def rows(s, k):
        return Samples(s.texts[k], s.x_t[k], s.t[k], s.target[k], s.mask[k], s.drawn[k])

    parts = iter([*whole, *(rows(s, slice(k, k + 1)) for k in range(2) for s in whole)])
    monkeypatch.setattr(batching, "noised", lambda *_: next(parts))
    values = {"pool": one_prior(data), "seed": 5, **STILL}  # a seed whose two coins differ
    with watched(branched) as passes:
        one, _, (together,) = run(branched, data, anchored(), **values)
        two, _, (apart,) = run(branched, data, anchored(), batch=1, accumulation=2, **values)
    graded = next(p for p in passes if p[3].requires_grad)
    own = [bool((x == r).all()) for x, r in zip(graded[1][2:], whole[0].x_t, strict=True)]
    assert sorted(own) == [False, True]
    for a, b in zip(together, apart, strict=True):
        if a is not None:
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4 * float(a.abs().max()) + 1e-9)
    assert one.losses == pytest.approx(two.losses, rel=1e-5)


def test_a_mask_of_everything_is_no_mask_and_one_of_nothing_learns_nothing_of_the_data(masked):
    branched, data = masked

    def at(value):
        items = tuple(replace(i, mask=torch.full((1, 1, 8, 8), value)) for i in data.items)
        return run(branched, replace(data, items=items), anchored(replay=False), **STILL)[1][1]

    unmasked = run(branched, data, anchored(masked=False, replay=False), **STILL)[1][1]
    torch.testing.assert_close(at(1.0)["loss.concept"], unmasked["loss.concept"])
    nothing = at(0.0)
    to_base = (nothing["v.learner.complete"] - nothing["v.base.base"]).flatten(1).square().mean(1)
    assert bool((nothing["loss.concept"] < to_base).all()), "where the base expects the class nothing is asked"
    assert not torch.allclose(nothing["loss.concept"], unmasked["loss.concept"], rtol=0.1)


def test_where_the_base_expects_the_class_is_where_its_prompt_makes_a_difference_and_a_little_beyond():
    from purecc_pack.purecc.method.anchored import expected

    v = torch.randn(2, 4, 24, 24, generator=torch.Generator().manual_seed(0))
    other = v.clone()
    other[0, :, 6:12, 8:14] += 1.0
    here = expected(other, v)
    assert here.shape == (2, 1, 24, 24)
    assert float(here[0, 0, 5:13, 7:15].min()) > 0.9, "two places beyond, less what the blur takes off the corners"
    assert float(here[0, 0, :2].max()) < 0.1 and float(here[0, 0, :, 18:].max()) < 0.1
    assert bool((here[1] == 1).all()), "a prompt that makes no difference tells nothing: nothing is held"


def test_what_is_lacking_is_said(masked):
    branched, data = masked
    with pytest.raises(ValueError, match="images of the base"):
        run(branched, data, anchored())


def test_the_masks_of_a_batch_belong_to_its_variants():
    from itertools import islice

    from purecc_pack.purecc.text.texts import parse_caption
    from purecc_pack.purecc.training.dataset import Batches, ConceptItem

    text = parse_caption("a [v] robot", "robot")
    values = torch.arange(6, dtype=torch.float32).view(2, 3, 1, 1, 1)
    items = [ConceptItem(v.expand(3, 2, 4, 4), text, torch.zeros(8, 8, 3), (v / 10).expand(3, 1, 4, 4)) for v in values]
    unknown = ConceptItem(torch.full((1, 2, 4, 4), 9.0), text, torch.zeros(8, 8, 3))
    for batch in islice(Batches([*items, unknown], 3, torch.Generator().manual_seed(0)), 20):
        assert batch.mask.shape == (3, 1, 4, 4)
        number = batch.x0[:, :1]
        assert torch.equal(batch.mask, torch.where(number == 9, 1.0, number / 10))
