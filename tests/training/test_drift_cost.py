"""Drift while a model is trained: how often it is measured of itself, on how many prompts, and what that costs."""

import json

import pytest
import runs
import torch

pytestmark = pytest.mark.slow


PROMPTS = ("a lake", "a hill at dawn", "a bowl of fruit", "a ship", "an old house", "a red car", "a tree", "a fish")


@pytest.fixture
def counted(monkeypatch):
    """Passes of one sample, those with a gradient as three: of the training, of the plan's timing, of the base's part
    of drift, and of its measurements."""
    from purecc_pack.purecc.host.training import session
    from purecc_pack.purecc.training.branched_model import BranchedModel
    from purecc_pack.purecc.training.drift import DriftProbe

    passes = {"training": 0, "timing": 0, "base": 0, "drift": 0}
    part = ["training"]
    run = BranchedModel.run

    def counting(self, branch, x_t, *args, **kwargs):
        graded = torch.is_grad_enabled() and branch is not None
        passes[part[0]] += len(x_t) * (3 if graded else 1)
        return run(self, branch, x_t, *args, **kwargs)

    def within(name, method):
        def counted_for(*args, **kwargs):
            part[0] = name
            try:
                return method(*args, **kwargs)
            finally:
                part[0] = "training"

        return counted_for

    monkeypatch.setattr(BranchedModel, "run", counting)
    monkeypatch.setattr(session, "timed", within("timing", session.timed))
    monkeypatch.setattr(DriftProbe, "__init__", within("base", DriftProbe.__init__))
    monkeypatch.setattr(DriftProbe, "__call__", within("drift", DriftProbe.__call__))
    return passes


@pytest.mark.parametrize(
    ("steps", "batch", "on", "at"), [(40, 2, 1, [20, 40]), (30, 4, 1, [8, 16, 24, 30]), (60, 4, 2, [15, 30, 45, 60])]
)
def test_it_costs_at_most_three_parts_in_a_hundred(models, dataset, counted, steps, batch, on, at):
    """All of it: the base's trajectories before the first step, and every measurement."""
    from purecc_pack.purecc.method.baselines import OutputPreservation

    job = runs.job(recipe=OutputPreservation(), steps=steps, batch=batch, drift_prompts=PROMPTS)
    out = runs.customise(models, dataset, job)
    assert [step for step, _ in out.history.drift] == at
    assert counted["training"] == 7 * batch * steps and counted["timing"] == 4 * batch
    assert counted["base"] == 7 * on and counted["drift"] == 4 * on * len(at)
    assert counted["base"] + counted["drift"] <= 0.03 * counted["training"]
    assert json.loads(out.adapter.metadata["purecc.report"])["drift_prompts"] == list(PROMPTS[:on])


def test_in_a_run_too_short_for_that_one_prompt_is_measured_once(models, dataset, counted):
    history = runs.customise(models, dataset, runs.job(steps=3, drift_prompts=PROMPTS)).history
    assert [step for step, _ in history.drift] == [3]
    assert (counted["base"], counted["drift"]) == (7, 4)


def test_drift_every_is_what_was_asked_for_on_all_prompts(models, dataset, counted):
    history = runs.customise(models, dataset, runs.job(steps=3, drift_every=2, drift_prompts=PROMPTS)).history
    assert [step for step, _ in history.drift] == [2, 3]
    assert (counted["base"], counted["drift"]) == (7 * len(PROMPTS), 2 * 4 * len(PROMPTS))


def test_without_prompts_it_is_not_measured(models, dataset, counted):
    out = runs.customise(models, dataset, runs.job(steps=2))
    assert not out.history.drift and counted["base"] == counted["drift"] == 0
    assert json.loads(out.adapter.metadata["purecc.report"])["drift_prompts"] == []


@pytest.mark.parametrize(
    ("work", "steps", "on", "every"),
    [
        (6, 1, 1, 1),  # not even one measurement on one prompt is 3 % of these
        (6, 20, 1, 20),
        (6, 400, 3, 100),  # Train Extractor as it comes
        (16, 400, 8, 100),  # PureCC
        (20, 400, 8, 80),  # anchored
        (20, 4000, 8, 55),
        (640, 20, 8, 2),
    ],
)
def test_how_much_is_measured(comfyui, work, steps, on, every):
    from purecc_pack.purecc.training.drift import affordable

    assert affordable(8, work, steps) == (on, every)


def test_it_is_never_more_than_that_where_so_little_is_possible(comfyui):
    from purecc_pack.purecc.training.drift import OFTEN, affordable, passes

    checked = 0
    for work in (1, 3, 6, 16, 20, 64):
        for steps in (1, 2, 5, 20, 61, 150, 400, 401, 3000):
            count, every = affordable(8, work, steps)
            measurements = len({*range(every, steps + 1, every), steps})
            if passes(1, 1) > 0.03 * work * steps:
                assert (count, measurements) == (1, 1)
                continue
            checked += 1
            assert passes(count, measurements) <= 0.03 * work * steps
            assert count == 1 or measurements >= min(OFTEN - 1, steps), "rather fewer prompts than seldom"
    assert checked > 20
