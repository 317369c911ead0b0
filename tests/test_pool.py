"""What the base draws before training."""

from dataclasses import replace

import pytest
import runs
import torch


def test_the_default_is_half_the_class_and_half_other_things():
    from purecc_pack.purecc.measure import UNRELATED_PROMPTS
    from purecc_pack.purecc.pool import POOL_PROMPTS, pool_prompts

    assert len(set(POOL_PROMPTS)) == 24
    assert sum("[class]" in p for p in POOL_PROMPTS) == 12
    assert all(("[class]" in a) != ("[class]" in b) for a, b in zip(POOL_PROMPTS[::2], POOL_PROMPTS[1::2], strict=True))
    robot = pool_prompts(POOL_PROMPTS, "robot", "instance")
    assert len(robot) == 24 and robot[:2] == ("a robot on a sandy beach", "a steam train crossing a bridge")
    assert not set(robot) & set(UNRELATED_PROMPTS), "drift is measured on those"


def test_the_class_word_fits_in():
    from purecc_pack.purecc.pool import pool_prompts

    lines = ["a [class] on a beach", "the [class]", "a [class] beside a [class]", "a lake"]
    expected = ("an owl on a beach", "the owl", "an owl beside a owl", "a lake")
    assert pool_prompts(lines, "owl", "instance") == expected
    assert pool_prompts(lines[:1], "teddy bear", "instance") == ("a teddy bear on a beach",)
    assert pool_prompts(lines, "style", "style") == ("a lake",)
    assert pool_prompts([], "owl", "instance") == ()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a [v] robot", r"Pool prompt 2, 'a \[v\] robot', has \[v\].*Write \[class\]"),
        ("a [V] [class]", r"Pool prompt 2, .*has \[v\]"),
        ("a {big|small} [class]", "Pool prompt 2, .*holds '{'"),
        ("the[class]", "Pool prompt 2"),
    ],
)
def test_lines_that_cannot_be_used_are_named(line, message):
    from purecc_pack.purecc.pool import pool_prompts

    with pytest.raises(ValueError, match=message):
        pool_prompts(["a lake", line], "robot", "instance")


@pytest.fixture
def work(models):
    """(trainee, items) with two square pictures and a wide one."""
    mixed = [*runs.pictures(2), torch.rand(1, 64, 96, 3, generator=torch.Generator().manual_seed(1))]
    job = runs.job(input_token=False, layer_wise=False)
    with runs.at_work(models, runs.build(models, mixed), job, texts=("a lake", "a hill")) as (trainee, data):
        yield trainee, data.items


def test_prompts_and_shapes_are_drawn_in_turn(work):
    from purecc_pack.purecc.pool import draw_pool

    trainee, items = work
    said = []
    pool = draw_pool(trainee, items, ("a lake", "a hill"), 6, seed=0, say=said.append)
    assert sorted(i.texts.base for i in pool) == ["a hill"] * 3 + ["a lake"] * 3
    shapes = sorted(tuple(i.latents.shape) for i in pool)
    assert shapes == [(1, 16, 8, 8)] * 4 + [(1, 16, 8, 12)] * 2
    assert said == ["drawing picture 1 of 6 with the base", "drawing picture 5 of 6 with the base"] or said == [
        "drawing picture 1 of 6 with the base",
        "drawing picture 3 of 6 with the base",
    ]
    assert all(i.mask is None and torch.isfinite(i.latents).all() for i in pool)
    assert len({runs.digest({"": i.latents}) for i in pool}) == 6
    again = draw_pool(trainee, items, ("a lake", "a hill"), 6, seed=0)
    assert all(torch.equal(a.latents, b.latents) for a, b in zip(pool, again, strict=True))
    other = draw_pool(trainee, items, ("a lake", "a hill"), 2, seed=1)
    assert not torch.equal(other[0].latents, pool[0].latents)


def test_without_prompts_the_base_texts_are_drawn(work):
    from purecc_pack.purecc.pool import draw_pool

    trainee, items = work
    pool = draw_pool(trainee, items, (), 4, seed=0)
    wanted = [items[k % 3].texts.base for k in range(4)]
    assert sorted(i.texts.base for i in pool) == sorted(wanted)


def test_the_base_draws_and_not_the_learner(work):
    from loop import move

    from purecc_pack.purecc.measure import guided
    from purecc_pack.purecc.pool import CFG, STEPS, draw_pool
    from purecc_pack.purecc.sampling import sample, times

    trainee, items = work
    square = tuple(replace(i) for i in items if i.latents.shape[-1] == 8)
    (before,) = draw_pool(trainee, square, ("a lake",), 1, seed=0)
    noise = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = sample(guided(trainee, None, ["a lake"], CFG), noise, times(STEPS))
    assert torch.equal(before.latents, expected)
    move(trainee)
    (after,) = draw_pool(trainee, square, ("a lake",), 1, seed=0)
    assert torch.equal(after.latents, before.latents)
