"""Drift while a model is trained: how often it is measured of itself, and what that costs."""

import pytest
import runs
import torch

PROMPTS = ("a lake", "a hill at dawn")


@pytest.fixture
def counted(monkeypatch):
    """Forward passes once training began, those with a gradient as three: its own, and those that measure drift."""
    from purecc_pack.purecc.measure import DriftProbe
    from purecc_pack.purecc.trainee import Trainee

    passes = {"training": 0, "drift": 0, "before": 0}
    part = ["before"]
    run, measure = Trainee.run, DriftProbe.__call__

    def counting(self, branch, x_t, *args, **kwargs):
        graded = torch.is_grad_enabled() and branch is not None
        if part[0] == "before" and graded:
            part[0] = "training"
        passes[part[0]] += len(x_t) * (3 if graded else 1)
        return run(self, branch, x_t, *args, **kwargs)

    def measuring(self, *args):
        part[0], before = "drift", part[0]
        try:
            return measure(self, *args)
        finally:
            part[0] = before

    monkeypatch.setattr(Trainee, "run", counting)
    monkeypatch.setattr(DriftProbe, "__call__", measuring)
    return passes


@pytest.mark.parametrize(("steps", "batch", "at"), [(40, 2, [20, 40]), (30, 4, [10, 20, 30])])
def test_it_costs_at_most_three_parts_in_a_hundred(models, dataset, counted, steps, batch, at):
    from purecc_pack.purecc.recipes import OutputPreservation

    job = runs.job(recipe=OutputPreservation(), steps=steps, batch=batch, drift_prompts=PROMPTS)
    history = runs.customise(models, dataset, job).history
    assert [step for step, _ in history.drift] == at
    assert counted["drift"] == 8 * len(at)
    assert 0 < counted["drift"] <= 0.03 * counted["training"]


def test_in_a_short_run_the_last_step_is_measured_alone(models, dataset):
    history = runs.customise(models, dataset, runs.job(steps=3, drift_prompts=PROMPTS)).history
    assert [step for step, _ in history.drift] == [3]


def test_without_prompts_it_is_not_measured(models, dataset):
    assert not runs.customise(models, dataset, runs.job(steps=2)).history.drift


@pytest.mark.parametrize(
    ("work", "steps", "every"),
    [(6, 1, 1), (6, 20, 20), (6, 400, 200), (6, 1000, 200), (16, 400, 67), (40, 20, 20), (40, 400, 27), (40, 1000, 28)],
)
def test_the_interval(comfyui, work, steps, every):
    """A measurement of 32 passes: one, where not even that is 3 % of the training."""
    from purecc_pack.purecc.measure import interval

    assert interval(32, work, steps) == every
