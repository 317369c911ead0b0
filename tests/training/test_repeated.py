"""Noised batches that are trained on several times: what is computed once, and that it is the same."""

import pytest
import torch
from loop import STILL, move, one_prior, run, watched

ANCHORED = [(None, 8, False), ("learner", 4, True)]


def numbers(count, uses, seed=0):
    """Which draw every step gets, counted from 0 as they were made."""
    from purecc_pack.purecc.draws import Draws, repeated

    made = iter(range(count))
    drawn = repeated(lambda: Draws(next(made)), count, uses, torch.Generator().manual_seed(seed))
    return [d.references for d in drawn]


@pytest.mark.parametrize(("count", "uses", "distinct"), [(8, 1, 8), (8, 2, 4), (10, 4, 3), (3, 5, 1), (7, 7, 1)])
def test_every_draw_is_used_as_often(count, uses, distinct):
    drawn = numbers(count, uses)
    assert len(drawn) == count and drawn[:distinct] == list(range(distinct))
    used = [drawn.count(k) for k in range(distinct)]
    assert sum(used) == count and max(used) <= max(uses, min(used) + 1) and max(used) - min(used) <= 1
    for start in range(0, count, distinct):
        whole = drawn[start : start + distinct]
        assert len(set(whole)) == len(whole)


def test_chance_decides_on_the_order():
    assert len({tuple(numbers(32, 2, seed)[16:]) for seed in (0, 1, 2)}) == 3
    assert numbers(32, 2) == numbers(32, 2)


@pytest.fixture
def anchored_learning(models, dataset, extractor):
    import runs

    from purecc_pack.purecc.recipes import AnchoredLearning

    with runs.at_work(models, dataset, runs.job(recipe=AnchoredLearning(eta=1.0)), extractor) as (trainee, data):
        move(trainee)
        yield trainee, data, AnchoredLearning()


def test_frozen_passes_run_once(anchored_learning):
    trainee, data, recipe = anchored_learning
    with watched(trainee) as passes:
        run(trainee, data, recipe, pool=one_prior(data), steps=5, uses=2)
    ran = [(branch, len(x), out.requires_grad) for branch, x, _, out in passes]
    assert ran == 3 * ANCHORED + 2 * ANCHORED[1:]


def test_a_batch_that_is_used_again_gives_the_same_gradient(anchored_learning):
    trainee, data, recipe = anchored_learning
    _, _, (first, again) = run(trainee, data, recipe, pool=one_prior(data), steps=2, uses=2, **STILL)
    once = [g for g in first if g is not None]
    assert once and any(float(g.abs().max()) > 0 for g in once)
    for a, b in zip(first, again, strict=True):
        assert (a is None and b is None) or torch.equal(a, b)


@pytest.mark.parametrize(
    ("branch", "text", "grad", "expected"),
    [
        ("extractor", "target", False, True),
        ("extractor", "empty", False, True),
        (None, "base", False, True),
        (None, "anchor", False, True),
        (None, "target", False, False),
        ("learner", "base", False, False),
        ("learner", "complete", True, False),
    ],
)
def test_what_is_frozen(comfyui, branch, text, grad, expected):
    """The base reads [v] with vectors that are trained; θ1 has its own."""
    from purecc_pack.purecc.recipes import Pass, frozen

    assert frozen(Pass(branch, text, grad)) is expected


def test_the_work_of_a_step(comfyui):
    from purecc_pack.purecc.recipes import AnchoredLearning, ConceptCustomisation, PureLearning, work

    assert work(ConceptCustomisation()) == 3 and work(ConceptCustomisation(), 4) == 3
    assert work(PureLearning()) == 8 and work(PureLearning(), 4) == 6.5
    assert work(AnchoredLearning()) == 10 and work(AnchoredLearning(), 4) == 7
