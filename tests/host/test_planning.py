"""What a run is counted to need, beside what real steps hold; what is planned from it; what happens without room."""

from types import SimpleNamespace

import pytest
import runs
import torch

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


def pure(**values):
    from purecc_pack.purecc.recipes import PureLearning

    return PureLearning(**values)


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


class Failing:
    """The loop's backward pass, out of memory at some of its calls."""

    def __init__(self, monkeypatch, *calls):
        self.calls, self.fails, self.plain = 0, calls, torch.Tensor.backward
        monkeypatch.setattr(torch.Tensor, "backward", self.backward())

    def backward(self):
        def called(tensor, *args, **kwargs):
            self.calls += 1
            if self.calls in self.fails:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return self.plain(tensor, *args, **kwargs)

        return called


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_step_that_runs_out_of_memory_is_run_again(models, dataset, extractor, monkeypatch, caplog, accumulation):
    """Tightened, on the same draws: the adapter is as if nothing had happened."""
    job = runs.job("pure", pure(), accumulation=accumulation, trace_steps=frozenset([2, 3]))
    expected = runs.customise(models, dataset, job, extractor=extractor)
    seen, sizes, quiet = [], {}, runs.Quiet()
    from purecc_pack.purecc.host.field import HostField
    from purecc_pack.purecc.host.rescue import Rescue

    plain, velocity = Rescue.__call__, HostField.velocity

    def watched(self, step, error):
        settings = plain(self, step, error)
        seen.append((step, self._field.checkpointing.count, settings.pass_limit))
        return settings

    def sized(self, x_t, *args):
        sizes.setdefault((torch.is_grad_enabled(), bool(seen)), set()).add(len(x_t))
        return velocity(self, x_t, *args)

    monkeypatch.setattr(HostField, "velocity", sized)
    monkeypatch.setattr(Rescue, "__call__", watched)
    failing = Failing(monkeypatch, 2 * accumulation)
    out = runs.customise(models, dataset, job, quiet, extractor)
    assert seen == [(2, 2, 1)] and failing.calls == 4 * accumulation
    assert len(quiet.notes) == 1 and "Out of memory at step 2" in quiet.notes[0] and quiet.notes[0] in caplog.text
    assert min(sizes[False, False]) == 2 and sizes[False, True] == {1}, "passes without gradient, as the note says"
    assert sizes[True, False] == sizes[True, True] and min(sizes[True, True]) >= 2, "and with gradient the whole batch"
    for step in (2, 3):
        assert torch.equal(out.traces[step]["x_t"], expected.traces[step]["x_t"])
    torch.testing.assert_close(out.history.losses, expected.history.losses, rtol=1e-3, atol=0)
    for key, tensor in expected.adapter.lora.items():
        torch.testing.assert_close(out.adapter.lora[key], tensor, rtol=1e-2, atol=1e-3)


def test_a_second_time_says_what_to_change(models, dataset, monkeypatch):
    from purecc_pack.purecc.host.rescue import OutOfMemory

    before = runs.state(models)
    Failing(monkeypatch, 2, 3)
    said = r"at step 2.*a pass without gradient.*resolution.*batch_size 1.*target_layers"
    with pytest.raises(OutOfMemory, match=said) as raised:
        runs.customise(models, dataset, runs.job())
    assert isinstance(raised.value.__cause__, torch.OutOfMemoryError)
    del raised
    assert runs.state(models) == before


def test_another_error_is_raised_as_it_is(models, dataset, monkeypatch):
    def fail(tensor):
        raise RuntimeError("not a matter of memory")

    monkeypatch.setattr(torch.Tensor, "backward", fail)
    with pytest.raises(RuntimeError, match=r"^not a matter of memory$"):
        runs.customise(models, dataset, runs.job())


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


SMALLER = "Use a smaller resolution"
PLACES = {
    "reading the captions": ("assembly.PromptCache.prepare", "Load the text encoders in a smaller precision"),
    "copying the text encoders": ("assembly.token_encoder", "Load the text encoders in a smaller precision"),
    "copying the model": ("assembly.private_field", "Load the model in a smaller precision"),
    "looking for the robot in picture 1": ("masking.concept_mask", SMALLER),
    "drawing the base's pictures": ("session.draw_pool", SMALLER),
    "measuring the base": ("session.DriftProbe", SMALLER),
    "trying a pass": ("session.timed", SMALLER),
}


@pytest.mark.parametrize("place", PLACES)
def test_running_out_of_memory_outside_the_steps_is_said_clearly(models, dataset, monkeypatch, place):
    from importlib import import_module

    from purecc_pack.purecc.host.rescue import OutOfMemory
    from purecc_pack.purecc.recipes import AnchoredLearning

    def fail(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    path, instead = PLACES[place]
    module, *owners, name = path.split(".")
    owner = import_module(f"purecc_pack.purecc.host.{module}")
    for part in owners:
        owner = getattr(owner, part)
    before = runs.state(models)
    monkeypatch.setattr(owner, name, fail)
    values = {"drift_every": 2, "drift_prompts": ("a lake",), "pool_images": 1}
    job = runs.job(recipe=AnchoredLearning(), **values, pool_prompts=("a tree",))
    with pytest.raises(OutOfMemory, match=rf"out of memory while {place}\. {instead}") as raised:
        runs.customise(models, dataset, job)
    assert isinstance(raised.value.__cause__, torch.OutOfMemoryError)
    del raised
    assert runs.state(models) == before


LEFT_OUT = {"DriftProbe": "drift was not measured", "PreviewProbe": "no samples were drawn"}


@pytest.fixture(scope="module")
def watched(models, dataset):
    """(job, its Outcome) with drift and samples at every step."""
    watching = {"drift_every": 1, "drift_prompts": ("a lake",), "sample_every": 1, "steps": 4}
    job = runs.job(**watching)
    return job, runs.customise(models, dataset, job)


@pytest.mark.parametrize("fails", [{2, 3}, {1, 2, 3, 4}])
@pytest.mark.parametrize("probe", LEFT_OUT)
def test_a_measurement_or_a_sample_without_memory_is_left_out(
    models, dataset, watched, monkeypatch, caplog, probe, fails
):
    """It is said, it comes back when there is memory again, and what is learned is as if it had been made."""
    from purecc_pack.purecc.host import session

    job, expected = watched
    quiet, tries = runs.Quiet(), []
    plain = getattr(session, probe).__call__

    def failing(self):
        tries.append(True)
        if len(tries) in fails:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return plain(self)

    monkeypatch.setattr(getattr(session, probe), "__call__", failing)
    out = runs.customise(models, dataset, job, quiet)
    assert quiet.notes == [f"Out of memory: {LEFT_OUT[probe]} at step {n}. Training goes on." for n in sorted(fails)]
    assert all(note in caplog.text for note in quiet.notes)
    drift, made = dict(expected.history.drift), {1, 2, 3, 4}
    if probe == "DriftProbe":
        drift = {n: value for n, value in drift.items() if n not in fails}
    else:
        made -= fails
    assert dict(out.history.drift) == drift == {s.number: s.drift for s in quiet.steps if s.drift is not None}
    assert {n for n, previews in enumerate(quiet.previews, start=1) if previews} == made
    assert out.history.losses == expected.history.losses and not out.history.stopped
    for key, tensor in expected.adapter.lora.items():
        assert torch.equal(out.adapter.lora[key], tensor)


@pytest.mark.parametrize("probe", LEFT_OUT)
def test_another_error_of_a_measurement_or_a_sample_ends_the_run(models, dataset, watched, monkeypatch, probe):
    from purecc_pack.purecc.host import session

    def fail(self):
        raise RuntimeError("not a matter of memory")

    monkeypatch.setattr(getattr(session, probe), "__call__", fail)
    with pytest.raises(RuntimeError, match=r"^not a matter of memory$"):
        runs.customise(models, dataset, watched[0])


def test_a_sample_that_the_vae_has_no_memory_for_is_left_out(comfyui):
    """The step is told all the same; the next sample has its base beside it."""
    from purecc_pack.purecc.history import Step
    from purecc_pack.purecc.host.live import About, LiveRun
    from purecc_pack.purecc.host.progress import NodeProgress
    from purecc_pack.purecc.host.runs import _OnNode
    from purecc_pack.purecc.previews import Preview

    def decode(latent):
        decoded.append(True)
        if len(decoded) == 2:  # the base's is there, the other is not
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return torch.zeros(1, 8, 8, 3)

    decoded, live = [], LiveRun(About(None, None, "pure learning", "robot", 9, True))
    shown = _OnNode(NodeProgress(None, "pure learning", 9), SimpleNamespace(decode=decode), live)
    for number in (1, 2):
        preview = Preview("a robot", 0, torch.zeros(1, 16, 1, 1), torch.zeros(1, 16, 1, 1))
        shown.step(Step(number, {"total": 1.0}, (), 1e-3, float(number)), [preview])
    state = live.state()
    assert state["note"] == "Out of memory: no samples were drawn at step 1. Training goes on."
    assert [row[0] for row in state["rows"]] == [1, 2] and [s["step"] for s in state["samples"]] == [2]
    assert live.picture(0, "base") and live.picture(0, "current")


@pytest.mark.parametrize("most", [1, 3])
def test_what_comes_before_the_steps_shrinks_to_what_fits(models, dataset, monkeypatch, most):
    """Masks, the base's pictures and its drift with as many samples a pass as go, and with the same result."""
    from purecc_pack.purecc.host import session
    from purecc_pack.purecc.host.field import HostField
    from purecc_pack.purecc.recipes import AnchoredLearning

    def velocity(self, x_t, *args):
        if refusing and len(x_t) > most:
            refused.append(len(x_t))
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return plain(self, x_t, *args)

    def timed(plan, *_):
        refusing.clear()  # the steps have a rescue of their own
        return plan

    values = {"drift_every": 2, "drift_prompts": ("a lake", "a hill"), "pool_images": 3, "steps": 2, "batch": 2}
    job = runs.job(recipe=AnchoredLearning(), **values, pool_prompts=("a tree",))
    plain, refused, refusing = HostField.velocity, [], []
    monkeypatch.setattr(HostField, "velocity", velocity)
    monkeypatch.setattr(session, "timed", timed)
    roomy = runs.customise(models, dataset, job)
    refusing.append(True)
    tight = runs.customise(models, dataset, job)
    assert set(refused) >= ({16, 8, 4, 2} if most == 1 else {16, 8, 4})
    torch.testing.assert_close(tight.adapter.lora, roomy.adapter.lora, rtol=1e-3, atol=2e-5)
    assert tight.history.steps[-1].drift == pytest.approx(roomy.history.steps[-1].drift, rel=1e-3)
