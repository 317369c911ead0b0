"""What a run is counted to need, beside what real steps hold; and what is planned from it."""

from types import SimpleNamespace

import pytest
import runs
import torch
from loop import pure

GB = 10**9


@pytest.fixture
def fused(monkeypatch):
    """The attention that the host has on a GPU, which keeps no map."""
    from comfy.ldm.modules import attention
    from comfy.ldm.modules.diffusionmodules import mmdit

    monkeypatch.setattr(mmdit, "optimized_attention", attention.attention_pytorch)


@pytest.fixture(scope="module")
def deep(comfyui, tmp_path_factory):
    """(models, dataset) of a base of four blocks, by the type of its file, its pictures large enough to matter."""
    import standin

    made = {}
    for dtype in (torch.float32, torch.float8_e4m3fn):
        path = standin.write(tmp_path_factory.mktemp("deep") / "deep.safetensors", depth=4, dtype=dtype)
        models = runs.load(path)
        made[dtype] = models, runs.build(models, runs.pictures(2, 192), runs.CAPTIONS[:2])
    return made


def held(trainee, data, batch):
    """(kept, peak) of a real pass with gradient on the complete texts."""
    from purecc_pack.purecc.live_bytes import LiveBytes

    items = (data.items * batch)[:batch]
    x_t, t = torch.cat([i.latents for i in items]), torch.full((batch,), 0.5)
    learner = trainee.speakers["learner"].embedding
    with LiveBytes() as live:
        v = trainee.run("learner", x_t, t, [i.texts.complete for i in items])
        kept = live.live
        with trainee.branches.use("learner"), trainee.hooks.use(learner.layers):
            v.sum().backward()
    for weight in [*trainee.branches.parameters("learner"), *learner.parameters()]:
        weight.grad = None
    return kept, live.peak


@pytest.mark.parametrize(
    ("stored", "values"),
    [
        (torch.float32, {"batch": 2}),
        (torch.float32, {"batch": 1, "input_token": False, "layer_wise": False}),
        (torch.float32, {"batch": 2, "precision": "bfloat16", "layer_wise": False}),
        (torch.float8_e4m3fn, {"batch": 2, "input_token": False}),
    ],
)
def test_counted_bytes_are_those_of_a_real_step(deep, fused, stored, values):
    """Within 5 percent, kept and at the peak, for every number of checkpointed blocks; with weights that are cast."""
    from purecc_pack.purecc.host import planning

    models, dataset = deep[stored]
    job = runs.job(**values)
    with runs.at_work(models, dataset, job) as (trainee, data):
        footprint = planning.demand(trainee.model, trainee, data, job).footprint
        kept = []
        for count in range(5):
            trainee.model.checkpointing.first(count)
            real, peak = held(trainee, data, job.settings.batch)
            assert footprint.kept(count) == pytest.approx(real, rel=0.05)
            assert footprint.peak(count) == pytest.approx(peak, rel=0.05)
            kept.append(real)
        trainee.model.checkpointing.first(0)
    assert kept == sorted(kept, reverse=True) and kept[4] < kept[0] / 3


def test_counted_samples_without_gradient_are_those_of_a_real_pass(deep, fused):
    from purecc_pack.purecc.host import planning
    from purecc_pack.purecc.live_bytes import LiveBytes
    from purecc_pack.purecc.recipes import OutputPreservation

    models, dataset = deep[torch.float32]
    job = runs.job(recipe=OutputPreservation())
    with runs.at_work(models, dataset, job) as (trainee, data):
        asked = planning.demand(trainee.model, trainee, data, job)
        assert asked.samples == 2
        x_t = torch.cat([i.latents for i in data.items])
        with LiveBytes() as live, torch.no_grad():
            trainee.run("learner", x_t, torch.full((2,), 0.5), [i.texts.base for i in data.items])
        assert asked.samples * asked.each == pytest.approx(live.peak, rel=0.05)


def gpu(monkeypatch, free):
    """A device of which so many bytes are free, as far as planning can see."""
    from purecc_pack.purecc.host import planning

    device = SimpleNamespace(is_device_cpu=lambda device: False, get_free_memory=lambda device: free)
    monkeypatch.setattr(planning, "model_management", device)


def planned(models, dataset, extractor, **values):
    from purecc_pack.purecc.host import assembly, copies, planning

    job = runs.job(recipe=pure(), **values)
    with (
        copies.trainable_world(),
        assembly.assembled(models.model, models.clip, dataset, job, lambda text: None, extractor) as made,
    ):
        plan = planning.planned(made, dataset, job)
        assert plan.count == made.field.checkpointing.count
        assert not any(w.is_meta for w in made.field.module.parameters())
        return plan


def test_on_the_cpu_nothing_is_planned(models, dataset, extractor):
    for asked, count in (("auto", 0), ("off", 0), ("all", 2)):
        plan = planned(models, dataset, extractor, checkpointing=asked)
        assert (plan.count, plan.pass_limit, plan.needs) == (count, None, None)


def test_on_a_gpu_as_few_blocks_as_fit(models, dataset, extractor, monkeypatch):
    from purecc_pack.purecc.plan import WORKSPACE

    gpu(monkeypatch, 80 * GB)
    roomy = planned(models, dataset, extractor)
    assert (roomy.count, roomy.pass_limit, roomy.has) == (0, None, None)
    resident = sum(w.nbytes for w in models.model.model.parameters())
    assert resident + WORKSPACE < roomy.needs < resident + WORKSPACE + GB
    gpu(monkeypatch, 0)
    tight = planned(models, dataset, extractor)
    assert (tight.pass_limit, tight.needs > tight.has) == (1, True) and tight.count >= 1
    assert planned(models, dataset, extractor, checkpointing="off").count == 0
    gpu(monkeypatch, 80 * GB)
    assert planned(models, dataset, extractor, checkpointing="all").count == 2
    assert planned(models, dataset, extractor, pass_limit=3).pass_limit == 3


def test_the_plan_is_said_before_the_first_step(models, dataset, extractor, learned, monkeypatch):
    gpu(monkeypatch, 0)
    quiet = runs.Quiet(at_step=lambda step: told.append(list(quiet.texts)))
    told = []
    job = runs.job("pure", pure(), sample_every=0)
    adapter = runs.customise(models, dataset, job, quiet, extractor).adapter
    assert told[0][-1].startswith("needs about 0.") and "1 sample a pass without gradient" in told[0][-1]
    for key, tensor in learned.adapter.lora.items():
        torch.testing.assert_close(adapter.lora[key], tensor, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("accumulation", [1, 3])
def test_the_time_is_that_of_the_passes_of_all_steps(models, dataset, extractor, monkeypatch, accumulation):
    """Said on the CPU too, before the first step; timed by a clock that every pass moves on by its own time."""
    import time

    from purecc_pack.purecc.trainee import Trainee

    now, plain = [0.0], Trainee.run

    def run(self, branch, x_t, *args):
        calls.append((branch, len(x_t)))
        late = 50.0 * (len(calls) % 2)  # the first of two loads kernels
        now[0] += len(x_t) * {"learner": 20.0, None: 5.0}.get(branch, 0.0) + late
        return plain(self, branch, x_t, *args)

    def first(step):
        told.append(quiet.texts[-1])

    calls, told, quiet = [], [], runs.Quiet(at_step=first)
    monkeypatch.setattr(Trainee, "run", run)
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    values = {"checkpointing": "all", "accumulation": accumulation, "steps": 3}
    runs.customise(models, dataset, runs.job("pure", pure(), **values), quiet, extractor)
    assert calls[:4] == [("learner", 2), ("learner", 2), (None, 2), (None, 2)]
    # 3 steps of so many batches of two samples: two passes with gradient, each run again and back, and θ1's two
    seconds = 3 * accumulation * 2 * (2 * (1 + 1 + 1.1) * 20 + 2 * 5)
    assert told[0] == f"checkpointing 2 of 2 blocks; about {seconds / 60:.0f} minutes"
