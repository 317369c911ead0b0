"""The recipes on the stand-in: their passes, their gradients against the losses written out, and who guides."""

import pytest
import runs
import torch
from loop import STILL, learnt, lora, move, one_prior, preserving, prior_preserving, pure, run, watched

pytestmark = pytest.mark.slow


def direction(trace):
    return trace["v.extractor.target"] - trace["v.extractor.empty"]


class TestTheExtractorGuides:
    @pytest.fixture
    def directions(self, models, dataset, extractor):
        """R(y_tar) of a real step after a change to the branched."""

        def of(change=lambda branched: None, at=extractor):
            with runs.at_work(models, dataset, runs.job(recipe=pure()), at) as (branched, scaled):
                change(branched)
                return run(branched, scaled, pure())[1][1]

        return of

    def test_theta1_changes_the_direction_and_theta2_does_not(self, directions):
        before = directions()
        theta2 = directions(move)
        assert torch.equal(direction(theta2), direction(before))
        assert not torch.equal(theta2["v.learner.complete"], before["v.learner.complete"])
        theta1 = directions(lambda branched: move(branched, "extractor"))
        assert float((direction(theta1) - direction(before)).abs().max()) > 0.05
        assert torch.equal(theta1["v.learner.complete"], before["v.learner.complete"])

    def test_theta1s_layer_wise_vectors_change_the_direction(self, directions):
        def change(branched):
            with torch.no_grad():
                branched.prompting["extractor"].embedding.layers.mul_(-2)

        changed, before = directions(change), directions()
        assert not torch.equal(changed["v.extractor.target"], before["v.extractor.target"])
        assert torch.equal(changed["v.extractor.empty"], before["v.extractor.empty"])
        assert torch.equal(changed["v.learner.complete"], before["v.learner.complete"])

    def test_theta1s_token_changes_the_direction(self, directions, extractor):
        from dataclasses import replace

        other = replace(extractor, tokens={k: -v for k, v in extractor.tokens.items()})
        assert not torch.equal(directions(at=other)["v.extractor.target"], directions()["v.extractor.target"])

    def test_the_released_variant_takes_it_from_the_base(self, stage2):
        branched, data = stage2
        _, traces, _ = run(branched, data, pure(direction="base"))
        before = traces[1]
        move(branched, "extractor")
        after = run(branched, data, pure(direction="base"))[1][1]
        assert torch.equal(after["v.base.target"], before["v.base.target"])
        assert not any(name.startswith("v.extractor") for name in after)


def recipes():
    return {
        "LoRA": lora(),
        "PureCC": pure(),
        "PureCC, η 2": pure(eta=2.0),
        "PureCC, λ 3": pure(scale=3.0),
        "PureCC, stop-gradient": pure(v_original="theta2 stop-gradient"),
        "PureCC, base": pure(v_original="base"),
        "DOP": preserving("base", 1.5),
        "BPP": preserving("empty", 0.5),
        "prior": prior_preserving(0.7),
    }


# The passes of one step as (branch, samples, gradient), batch 2: those of one branch and like gradient together,
# those without gradient first.
PASSES = {
    "LoRA": [("learner", 2, True)],
    "PureCC": [("extractor", 4, False), ("learner", 4, True)],
    "PureCC, η 2": [("extractor", 4, False), ("learner", 4, True)],
    "PureCC, λ 3": [("extractor", 4, False), ("learner", 4, True)],
    "PureCC, stop-gradient": [("learner", 2, False), ("extractor", 4, False), ("learner", 2, True)],
    "PureCC, base": [(None, 2, False), ("extractor", 4, False), ("learner", 2, True)],
    "DOP": [(None, 2, False), ("learner", 4, True)],
    "BPP": [(None, 2, False), ("learner", 4, True)],
    "prior": [("learner", 4, True)],
}


@pytest.mark.parametrize("name", list(PASSES))
def test_passes_are_batched_and_make_no_graph_without_need(stage2, name):
    branched, data = stage2
    with watched(branched) as passes:
        run(branched, data, recipes()[name], pool=one_prior(data), steps=2)
    assert [(branch, len(x), out.requires_grad) for branch, x, _, out in passes] == 2 * PASSES[name]
    assert all(out.grad_fn is None for _, _, _, out in passes if not out.requires_grad)


@pytest.mark.parametrize("name", list(PASSES))
def test_gradients_are_those_of_the_written_out_loss(stage2, models, dataset, name):
    branched, data = stage2
    prior = one_prior(data)
    with watched(branched) as passes:
        _, traces, (gradients,) = run(branched, data, recipes()[name], pool=prior, **STILL)
    trace = traces[1]
    items = runs.items_of(models, dataset, trace)
    x_t, t, target = trace["x_t"], trace["t"], trace["target"]

    def v(branch, text, grad=True, x=x_t, t=t):
        texts = [{**vars(i.texts), "empty": ""}[text] for i in items] if text != "pool" else [prior[0].texts.base] * 2
        with torch.set_grad_enabled(grad):
            return branched.run(branch, x, t, texts)

    def mse(a, b):
        return (a - b).square().mean()

    def off(complete, original, scale=None):
        r_t = v("extractor", "target", False) - v("extractor", "empty", False)
        if scale is None:
            r_c = (complete - original).flatten(1)
            scale = ((r_c * r_t.flatten(1)).sum(1) / r_t.flatten(1).square().sum(1)).detach().view(-1, 1, 1, 1)
        return mse(original + scale * r_t, complete)

    with torch.enable_grad():
        complete = v("learner", "complete")
        loss = mse(complete, target)
        match name:
            case "PureCC":
                loss = loss + off(complete, v("learner", "base"))
            case "PureCC, η 2":
                loss = loss + 2 * off(complete, v("learner", "base"))
            case "PureCC, λ 3":
                loss = loss + off(complete, v("learner", "base"), 3.0)
            case "PureCC, stop-gradient":
                loss = loss + off(complete, v("learner", "base", False))
            case "PureCC, base":
                loss = loss + off(complete, v(None, "base", False))
            case "DOP":
                loss = loss + 1.5 * mse(v("learner", "base"), v(None, "base", False))
            case "BPP":
                loss = loss + 0.5 * mse(v("learner", "empty"), v(None, "empty", False))
            case "prior":
                graded = next(p for p in passes if p[3].requires_grad)
                x, s = graded[1][2:], graded[2][2:]
                x0, time = prior[0].latents, s.view(-1, 1, 1, 1)
                x1 = (x - (1 - time) * x0) / time
                loss = loss + 0.7 * mse(v("learner", "pool", x=x, t=s), x1 - x0)
        with branched.branches.use("learner"):
            expected = torch.autograd.grad(loss, learnt(branched), allow_unused=True)
    assert float(trace["loss.total"].mean()) == pytest.approx(loss.item(), rel=1e-4)
    unused = 0
    for ours, theirs in zip(gradients, expected, strict=True):
        if ours is None or theirs is None:
            assert ours is theirs is None or not (ours if theirs is None else theirs).any()
            unused += 1
        else:
            torch.testing.assert_close(ours, theirs, rtol=2e-3, atol=2e-3 * float(theirs.abs().max()) + 1e-9)
    assert unused < 4


def test_the_original_velocity_is_who_it_should_be(stage2):
    branched, data = stage2
    by = {name: run(branched, data, pure(v_original=name), **STILL)[1][1] for name in ORIGINS}
    with_gradient, without = (by[name]["v.learner.base"] for name in ORIGINS[:2])  # in batches of different size
    assert float((with_gradient - without).norm() / without.norm()) < 1e-5
    assert "v.learner.base" not in by["base"] and "v.base.base" not in by["theta2"]
    assert not torch.allclose(by["base"]["v.base.base"], by["theta2"]["v.learner.base"], atol=1e-3)
    move(branched, seed=11)
    again = run(branched, data, pure(v_original="base"), **STILL)[1][1]
    assert torch.equal(again["v.base.base"], by["base"]["v.base.base"]), "θ2 has no part in it"


ORIGINS = ("theta2", "theta2 stop-gradient", "base")


def test_what_a_recipe_lacks_is_said(models, dataset):
    from purecc_pack.purecc.training.loop import train

    with runs.at_work(models, dataset, runs.job()) as (branched, data):
        with pytest.raises(ValueError, match="needs an extractor: connect the output of Train Extractor"):
            train(branched, data, pure(), runs.settings())
        with pytest.raises(ValueError, match="images of the base"):
            train(branched, data, prior_preserving(), runs.settings())
