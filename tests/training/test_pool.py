"""What the base draws before training."""

import re
from dataclasses import replace

import pytest
import runs
import torch

pytestmark = pytest.mark.slow


def test_the_default_shows_many_things():
    from purecc_pack.purecc.training.drift import UNRELATED_PROMPTS
    from purecc_pack.purecc.training.pool import POOL_PROMPTS, pool_prompts

    assert len(set(POOL_PROMPTS)) == 24 and pool_prompts(POOL_PROMPTS) == POOL_PROMPTS
    assert not set(POOL_PROMPTS) & set(UNRELATED_PROMPTS), "drift is measured on those"


def test_lines_of_older_workflows_with_the_class_are_left_out():
    from purecc_pack.purecc.training.pool import pool_prompts

    assert pool_prompts(["a [class] on a beach", "a lake", "the [class]", "a hill"]) == ("a lake", "a hill")
    assert pool_prompts(["a [class] on a beach"]) == () == pool_prompts([])


@pytest.mark.parametrize("line", ["a [v] robot", "a [V] [class]"])
def test_lines_that_mark_the_concept_are_named(line):
    from purecc_pack.purecc.training.pool import pool_prompts

    with pytest.raises(ValueError, match=rf"2, '{re.escape(line)}'"):
        pool_prompts(["a lake", line])


@pytest.fixture
def work(models):
    """(branched, items) with two square pictures and a wide one."""
    mixed = [*runs.pictures(2), torch.rand(1, 64, 96, 3, generator=torch.Generator().manual_seed(1))]
    job = runs.job(input_token=False, layer_wise=False)
    with runs.at_work(models, runs.build(models, mixed), job, texts=("a lake", "a hill")) as (branched, data):
        yield branched, data.items


def test_prompts_and_shapes_are_drawn_in_turn(work):
    from purecc_pack.purecc.training.pool import generate_pool

    branched, items = work
    told = []
    pool = generate_pool(branched, items, ("a lake", "a hill"), 6, 0, lambda *numbers: told.append(numbers))
    assert sorted(i.texts.base for i in pool) == ["a hill"] * 3 + ["a lake"] * 3
    shapes = sorted(tuple(i.latents.shape) for i in pool)
    assert shapes == [(1, 16, 8, 8)] * 4 + [(1, 16, 8, 12)] * 2
    assert told in ([(1, 6), (5, 6)], [(1, 6), (3, 6)]), "the first of each batch; a batch has one shape"
    assert all(i.mask is None and torch.isfinite(i.latents).all() for i in pool)
    assert len({runs.digest({"": i.latents}) for i in pool}) == 6
    again = generate_pool(branched, items, ("a lake", "a hill"), 6, seed=0)
    assert all(torch.equal(a.latents, b.latents) for a, b in zip(pool, again, strict=True))
    other = generate_pool(branched, items, ("a lake", "a hill"), 2, seed=1)
    assert not torch.equal(other[0].latents, pool[0].latents)


def test_without_prompts_the_base_texts_are_drawn(work):
    from purecc_pack.purecc.training.pool import generate_pool

    branched, items = work
    pool = generate_pool(branched, items, (), 4, seed=0)
    wanted = [items[k % 3].texts.base for k in range(4)]
    assert sorted(i.texts.base for i in pool) == sorted(wanted)


def test_the_base_draws_and_not_the_learner(work):
    from loop import move

    from purecc_pack.purecc.network.sampling import sample
    from purecc_pack.purecc.training.pool import CFG, ORDER, generate_pool, pool_times

    branched, items = work
    square = tuple(replace(i) for i in items if i.latents.shape[-1] == 8)
    (before,) = generate_pool(branched, square, ("a lake",), 1, seed=0)
    noise = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = sample(branched.guided(None, ["a lake"], CFG), noise, pool_times(branched.field.path), ORDER)
    assert torch.equal(before.latents, expected)
    move(branched)
    (after,) = generate_pool(branched, square, ("a lake",), 1, seed=0)
    assert torch.equal(after.latents, before.latents)


def paths():
    """A straight path, one that is shifted, and that of a model that predicts ε."""
    from purecc_pack.purecc.method.path import FlowPath, SigmaPath

    kept = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, 0)
    return FlowPath(1.0), FlowPath(3.0), SigmaPath(((1 - kept) / kept).sqrt(), "eps")


@pytest.mark.parametrize("k", range(3))
def test_the_times_begin_and_end_as_the_path_does(k):
    from purecc_pack.purecc.training.pool import STEPS, pool_times

    path = paths()[k]
    times = pool_times(path)
    assert len(times) == STEPS + 1 and times[0] == path.steps(STEPS)[0] and times[-1] == 0
    assert bool((times.diff() < 0).all())


@pytest.mark.parametrize("spread", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("k", range(3))
def test_half_the_passes_are_as_near_to_the_exact_path(k, spread):
    """As those of 20 even steps of Euler's method, for a mixture of three kinds of things, whose velocity is known."""
    from purecc_pack.purecc.network.sampling import sample
    from purecc_pack.purecc.training.pool import ORDER, STEPS, pool_times

    middles = torch.tensor([-1.0, 0.2, 1.5], dtype=torch.float64)

    def velocity(x, t):
        t = t[0].double()
        found = x[..., None] - (1 - t) * middles
        variance = ((1 - t) * spread) ** 2 + t**2
        x0 = middles + (1 - t) * spread**2 / variance * found
        return (x - ((-(found**2) / (2 * variance)).softmax(-1) * x0).sum(-1)) / t

    path = paths()[k]
    noise = torch.randn(1000, 1, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    exact = sample(velocity, noise, path.steps(1000), 2)
    ours = sample(velocity, noise, pool_times(path), ORDER)
    euler = sample(velocity, noise, path.steps(2 * STEPS))
    assert float((ours - exact).square().mean()) < float((euler - exact).square().mean())
    assert float((ours - exact).abs().median()) < float((euler - exact).abs().median())
