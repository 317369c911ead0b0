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
    from purecc_pack.purecc.training.pool import CFG, STEPS, generate_pool

    branched, items = work
    square = tuple(replace(i) for i in items if i.latents.shape[-1] == 8)
    (before,) = generate_pool(branched, square, ("a lake",), 1, seed=0)
    noise = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = sample(branched.guided(None, ["a lake"], CFG), noise, branched.field.path.steps(STEPS))
    assert torch.equal(before.latents, expected)
    move(branched)
    (after,) = generate_pool(branched, square, ("a lake",), 1, seed=0)
    assert torch.equal(after.latents, before.latents)
