"""What a run is counted to need, beside what real steps hold; and what is planned from it."""

from types import SimpleNamespace

import pytest
import runs
import torch
from loop import pure

pytestmark = pytest.mark.slow


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


def held(branched, data, batch):
    """(kept, peak) of a real pass with gradient on the complete texts."""
    from purecc_pack.purecc.training.live_bytes import LiveBytes

    items = (data.items * batch)[:batch]
    x_t, t = torch.cat([i.latents for i in items]), torch.full((batch,), 0.5)
    learner = branched.prompting["learner"].embedding
    with LiveBytes() as live:
        v = branched.run("learner", x_t, t, [i.texts.complete for i in items])
        kept = live.live
        with branched.branches.use("learner"), branched.hooks.use(learner.layers):
            v.sum().backward()
    for weight in [*branched.branches.parameters("learner"), *learner.parameters()]:
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
    from purecc_pack.purecc.host.training import planning

    models, dataset = deep[stored]
    job = runs.job(**values)
    with runs.at_work(models, dataset, job) as (branched, data):
        footprint = planning.demand(branched.field, branched, data, job).footprint
        kept = []
        for count in range(5):
            branched.field.checkpointing.first(count)
            real, peak = held(branched, data, job.settings.batch)
            assert footprint.kept(count) == pytest.approx(real, rel=0.05)
            assert footprint.peak(count) == pytest.approx(peak, rel=0.05)
            kept.append(real)
        branched.field.checkpointing.first(0)
    assert kept == sorted(kept, reverse=True) and kept[4] < kept[0] / 3


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_trained_token_is_read_in_what_the_base_computes_in(deep, precision):
    models, dataset = deep[torch.float32]
    with runs.assembled(models, dataset, runs.job(precision=precision, layer_wise=False)) as made:
        layer = made.encoder.model.clip_l.transformer.text_model.encoder.layers[0]
        assert (layer.mlp.fc1.weight.dtype == torch.bfloat16) == (precision == "bfloat16")
        assert layer.layer_norm1.weight.dtype in (torch.float32, torch.float16), "as the host has it"
        (y,) = made.branched.prompting["learner"].conditioner(["a [v] robot on red stripes"])
        assert y.context.requires_grad and bool(y.context.isfinite().all())


def test_counted_samples_without_gradient_are_those_of_a_real_pass(deep, fused):
    from purecc_pack.purecc.host.training import planning
    from purecc_pack.purecc.method.baselines import OutputPreservation
    from purecc_pack.purecc.training.live_bytes import LiveBytes

    models, dataset = deep[torch.float32]
    job = runs.job(recipe=OutputPreservation())
    with runs.at_work(models, dataset, job) as (branched, data):
        asked = planning.demand(branched.field, branched, data, job)
        assert asked.samples == 2
        x_t = torch.cat([i.latents for i in data.items])
        with LiveBytes() as live, torch.no_grad():
            branched.run("learner", x_t, torch.full((2,), 0.5), [i.texts.base for i in data.items])
        assert asked.samples * asked.each == pytest.approx(live.peak, rel=0.05)


def gpu(monkeypatch, free):
    """A device of which so many bytes are free, as far as planning can see."""
    from purecc_pack.purecc.host.training import planning

    device = SimpleNamespace(is_device_cpu=lambda device: False, get_free_memory=lambda device: free)
    monkeypatch.setattr(planning, "model_management", device)


def planned(models, dataset, extractor, **values):
    from purecc_pack.purecc.host.training import planning

    job = runs.job(recipe=pure(), **values)
    with runs.assembled(models, dataset, job, extractor) as made:
        plan = planning.planned(made, dataset, job)
        assert plan.count == made.field.checkpointing.count
        assert not any(w.is_meta for w in made.field.module.parameters())
        return plan


def test_on_the_cpu_nothing_is_planned(models, dataset, extractor):
    for asked, count in (("auto", 0), ("off", 0), ("all", 2)):
        plan = planned(models, dataset, extractor, checkpointing=asked)
        assert (plan.count, plan.pass_limit, plan.needs) == (count, None, None)


def test_on_a_gpu_as_few_blocks_as_fit(models, dataset, extractor, monkeypatch):
    from purecc_pack.purecc.training.memory_plan import WORKSPACE

    gpu(monkeypatch, 80 * GB)
    roomy = planned(models, dataset, extractor)
    assert (roomy.count, roomy.pass_limit, roomy.has) == (0, None, None)
    resident = sum(w.nbytes for w in models.model.model.parameters())
    assert resident + WORKSPACE < roomy.needs < resident + WORKSPACE + GB
    gpu(monkeypatch, 0)
    assert planned(models, dataset, extractor, checkpointing="off").count == 0
    gpu(monkeypatch, short(models, dataset, extractor))
    tight = planned(models, dataset, extractor)
    assert (tight.pass_limit, tight.needs > tight.has) == (1, True) and tight.count >= 1
    gpu(monkeypatch, 80 * GB)
    assert planned(models, dataset, extractor, checkpointing="all").count == 2
    assert planned(models, dataset, extractor, pass_limit=3).pass_limit == 3


def short(models, dataset, extractor):
    """The free bytes with which the smallest plan is a little short of memory, where none are free now."""
    smallest = planned(models, dataset, extractor, checkpointing="all")
    return int(smallest.needs / 1.05) - smallest.has


def test_what_does_not_fit_by_far_is_refused_before_the_first_step(models, dataset, extractor, monkeypatch):
    from purecc_pack.purecc.host.training.out_of_memory import OutOfMemory

    before, quiet = runs.state(models), runs.Quiet()
    gpu(monkeypatch, 0)
    with pytest.raises(OutOfMemory, match=r"needs about 0\.3 GB of GPU memory and there are 0\.0 GB.*resolution"):
        runs.customise(models, dataset, runs.job("pure", pure()), quiet, extractor)
    assert not quiet.steps and runs.state(models) == before


def test_the_plan_is_told_before_the_first_step(models, dataset, extractor, learned, monkeypatch):
    gpu(monkeypatch, 0)
    gpu(monkeypatch, short(models, dataset, extractor))
    quiet = runs.Quiet(at_step=lambda step: told.append((quiet.phases[-1], [(n.key, n.values) for n in quiet.notes])))
    told = []
    job = runs.job("pure", pure(), sample_every=0)
    adapter = runs.customise(models, dataset, job, quiet, extractor).adapter
    (phase, values), notes = told[0]
    assert phase == "TRAIN" and values["blocks"] == 2 and 1 <= values["checkpointed"] <= 2
    (memory, needs), (limit, samples) = notes
    assert memory == "note_memory_short" and needs["needs"] >= needs["has"] > 0
    assert (limit, samples) == ("note_pass_limit", {"samples": 1})
    for key, tensor in learned.adapter.lora.items():
        torch.testing.assert_close(adapter.lora[key], tensor, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("accumulation", [1, 3])
def test_the_time_is_that_of_the_passes_of_all_steps(models, dataset, extractor, monkeypatch, accumulation):
    """Told on the CPU too, before the first step; timed by a clock that every pass moves on by its own time."""
    import time

    from purecc_pack.purecc.training.branched_model import BranchedModel

    now, plain = [0.0], BranchedModel.run

    def run(self, branch, x_t, *args):
        calls.append((branch, len(x_t)))
        late = 50.0 * (len(calls) % 2)  # the first of two loads kernels
        now[0] += len(x_t) * {"learner": 20.0, None: 5.0}.get(branch, 0.0) + late
        return plain(self, branch, x_t, *args)

    def first(step):
        told.append(quiet.phases[-1])

    calls, told, quiet = [], [], runs.Quiet(at_step=first)
    monkeypatch.setattr(BranchedModel, "run", run)
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    values = {"checkpointing": "all", "accumulation": accumulation, "steps": 3}
    runs.customise(models, dataset, runs.job("pure", pure(), **values), quiet, extractor)
    assert calls[:4] == [("learner", 2), ("learner", 2), (None, 2), (None, 2)]
    # 3 steps of so many batches of two samples: two passes with gradient, each run again and back, and θ1's two
    seconds = 3 * accumulation * 2 * (2 * (1 + 1 + 1.1) * 20 + 2 * 5)
    assert told[0] == ("TRAIN", {"checkpointed": 2, "blocks": 2, "minutes": round(seconds / 60)})
    assert not quiet.notes, "memory is not counted on the CPU"
