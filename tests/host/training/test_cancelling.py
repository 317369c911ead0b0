"""Cancelling a run before its first step, at a step and within a pass leaves the models as they were."""

import pytest
import runs
import torch
from untouched import clean, full_job

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("own", "step"), [("reloaded", 1), ("copied", 2), ("reloaded", 3)], indirect=["own"])
def test_cancel_at_a_step_stops_within_one(own, dataset, extractor, quiet_host, step):
    from comfy import model_management

    before, alive = runs.state(own), runs.census()

    def cancel(done):
        if done.number == step:
            model_management.interrupt_current_processing()

    listener = runs.Quiet(at_step=cancel)
    try:
        with pytest.raises(model_management.InterruptProcessingException) as raised:
            runs.customise(own, dataset, full_job(steps=5), listener, extractor)
    finally:
        model_management.interrupt_current_processing(False)
    del raised
    assert len(listener.steps) == step
    clean(before, alive, own)


@pytest.mark.parametrize("phase", ["READ_CAPTIONS", "COPY_ENCODERS", "COPY_MODEL", "SAMPLE_POOL", "MEASURE_BASE"])
def test_cancel_before_the_first_step(checkpoint, dataset, quiet_host, phase):
    from comfy import model_management

    from purecc_pack.purecc.method.baselines import PriorPreservation

    own = runs.load(checkpoint)
    before, alive = runs.state(own), runs.census()

    def cancel(told):
        if told.name == phase:
            model_management.interrupt_current_processing()

    listener = runs.Quiet(at_phase=cancel)
    job = runs.job(recipe=PriorPreservation(), pool_images=1, drift_every=1, drift_prompts=("a lake",))
    try:
        with pytest.raises(model_management.InterruptProcessingException) as raised:
            runs.customise(own, dataset, job, listener)
    finally:
        model_management.interrupt_current_processing(False)
    del raised
    assert phase in [name for name, *_ in listener.phases[-2:]], "it is heard at the next phase at the latest"
    clean(before, alive, own)


@pytest.mark.parametrize("drawn", [True, False], ids=["while it draws images of the class", "at a step"])
def test_cancel_of_a_second_stage_on_images_of_the_class(checkpoint, dataset, quiet_host, extractor, drawn):
    from comfy import model_management

    from purecc_pack.purecc.method.two_stages import ClassImageLearning

    def at_phase(told):
        if drawn and told.name == "SAMPLE_POOL" and listener.phases[-1][1]["count"] == len(captions):
            model_management.interrupt_current_processing()

    def at_step(done):
        model_management.interrupt_current_processing()

    captions = [(f"a [v] robot on {ground}", "a [v] robot") for ground in ("sand", "snow", "grass")]
    own = runs.load(checkpoint)
    before, alive = runs.state(own), runs.census()
    listener = runs.Quiet(at_step=at_step, at_phase=at_phase)
    job = runs.job("second", ClassImageLearning(below=0.5), steps=5, pool_images=2, pool_captions=tuple(captions))
    try:
        with pytest.raises(model_management.InterruptProcessingException) as raised:
            runs.customise(own, dataset, job, listener, extractor)
    finally:
        model_management.interrupt_current_processing(False)
    del raised
    assert len(listener.steps) == (0 if drawn else 1)
    clean(before, alive, own)


@pytest.mark.parametrize("gradient", [False, True])
def test_cancel_stops_within_a_pass_of_a_step(checkpoint, dataset, quiet_host, monkeypatch, extractor, gradient):
    """However large the batch."""
    from comfy import model_management

    from purecc_pack.purecc.host.models.field import HostField

    began, done, velocity = [], [], HostField.velocity

    def passing(*args):
        began.append(torch.is_grad_enabled())
        if len(listener.steps) == 1 and began[-1] == gradient:
            model_management.interrupt_current_processing()
        out = velocity(*args)
        done.append(began[-1])
        return out

    monkeypatch.setattr(HostField, "velocity", passing)
    own, listener = runs.load(checkpoint), runs.Quiet()
    before, alive = runs.state(own), runs.census()
    try:
        with pytest.raises(model_management.InterruptProcessingException) as raised:
            runs.customise(own, dataset, full_job(steps=5, batch=3), listener, extractor)
    finally:
        model_management.interrupt_current_processing(False)
    del raised
    assert len(listener.steps) == 1 and began == [*done, gradient], "the pass was begun and not ended"
    monkeypatch.undo()
    clean(before, alive, own)


@pytest.mark.parametrize(
    ("probe", "method", "passes"),
    [
        ("drift.DriftProbe", "__init__", 3),
        ("drift.DriftProbe", "__call__", 1),
        ("previews.PreviewSampler", "__call__", 5),
    ],
)
def test_cancel_stops_within_a_pass_of_what_a_step_measures_or_draws(
    checkpoint, dataset, quiet_host, monkeypatch, probe, method, passes
):
    """The host's own layers look for it, and so every pass of the base, of drift and of a sample does."""
    from importlib import import_module

    from comfy import model_management

    from purecc_pack.purecc.host.models.field import HostField

    module, name = probe.split(".")
    watched = getattr(import_module(f"purecc_pack.purecc.training.{module}"), name)
    within, velocity, began, done = getattr(watched, method), HostField.velocity, [], []

    def probing(*args, **options):
        began.append(0)
        return within(*args, **options)

    def passing(self, *args):
        if began:
            began[-1] += 1
        v = velocity(self, *args)
        if began:
            done.append(began[-1])
            if len(done) == passes:
                model_management.interrupt_current_processing()
        return v

    monkeypatch.setattr(watched, method, probing)
    monkeypatch.setattr(HostField, "velocity", passing)
    own = runs.load(checkpoint)
    before, alive = runs.state(own), runs.census()
    job = runs.job(steps=2, batch=1, drift_every=1, drift_prompts=("a lake", "a hill"), sample_every=1)
    try:
        with pytest.raises(model_management.InterruptProcessingException) as raised:
            runs.customise(own, dataset, job)
    finally:
        model_management.interrupt_current_processing(False)
    del raised
    assert (began, len(done)) == ([passes + 1], passes), "the next pass was begun and not ended"
    monkeypatch.undo()
    clean(before, alive, own)
