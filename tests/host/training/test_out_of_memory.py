"""What a run does where memory runs out: the step again, smaller passes, what can be left out, and clear errors."""

import json
from types import SimpleNamespace

import pytest
import runs
import torch
from loop import pure

pytestmark = pytest.mark.slow


class Failing:
    """The loop's backward pass, out of memory at some of its calls."""

    def __init__(self, monkeypatch, *calls, error=None):
        self.calls, self.fails, self.plain = 0, calls, torch.Tensor.backward
        self.error = error or torch.OutOfMemoryError("CUDA out of memory.")
        monkeypatch.setattr(torch.Tensor, "backward", self.backward())

    def backward(self):
        def called(tensor, *args, **kwargs):
            self.calls += 1
            if self.calls in self.fails:
                raise self.error
            return self.plain(tensor, *args, **kwargs)

        return called


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_step_that_runs_out_of_memory_is_run_again(models, dataset, extractor, monkeypatch, caplog, accumulation):
    """Tightened, on the same draws: the adapter is as if nothing had happened."""
    job = runs.job("pure", pure(), accumulation=accumulation, trace_steps=frozenset([2, 3]))
    expected = runs.customise(models, dataset, job, extractor=extractor)
    seen, sizes, quiet = [], {}, runs.Quiet()
    from purecc_pack.purecc.host.models.field import HostField
    from purecc_pack.purecc.host.training.out_of_memory import OutOfMemoryRetry

    plain, velocity = OutOfMemoryRetry.__call__, HostField.velocity

    def watched(self, step, error):
        limit = plain(self, step, error)
        seen.append((step, self._field.checkpointing.count, limit))
        return limit

    def sized(self, x_t, *args):
        sizes.setdefault((torch.is_grad_enabled(), bool(seen)), set()).add(len(x_t))
        return velocity(self, x_t, *args)

    monkeypatch.setattr(HostField, "velocity", sized)
    monkeypatch.setattr(OutOfMemoryRetry, "__call__", watched)
    failing = Failing(monkeypatch, 2 * accumulation)
    out = runs.customise(models, dataset, job, quiet, extractor)
    assert seen == [(2, 2, 1)] and failing.calls == 4 * accumulation
    (note,) = quiet.notes
    assert (note.key, note.values) == ("note_reduced", {"step": 2}) and str(note) in caplog.text
    assert min(sizes[False, False]) == 2 and sizes[False, True] == {1}, "passes without gradient, as the note says"
    assert sizes[True, False] == sizes[True, True] and min(sizes[True, True]) >= 2, "and with gradient the whole batch"
    for step in (2, 3):
        assert torch.equal(out.traces[step]["x_t"], expected.traces[step]["x_t"])
    told = [json.loads(each.adapter.metadata["purecc.report"]) for each in (expected, out)]
    assert [(one["rescued"], one["repeatable"]) for one in told] == [([], True), ([2], False)]
    torch.testing.assert_close(out.history.losses, expected.history.losses, rtol=1e-3, atol=0)
    for key, tensor in expected.adapter.lora.items():
        torch.testing.assert_close(out.adapter.lora[key], tensor, rtol=1e-2, atol=1e-3)


def test_a_second_time_says_what_to_change(models, dataset, monkeypatch):
    from purecc_pack.purecc.host.training.out_of_memory import OutOfMemory

    before = runs.state(models)
    Failing(monkeypatch, 2, 3)
    with pytest.raises(OutOfMemory, match=r"step 2.*resolution.*batch_size.*target_layers") as raised:
        runs.customise(models, dataset, runs.job())
    assert isinstance(raised.value.__cause__, torch.OutOfMemoryError)
    del raised
    assert runs.state(models) == before


def test_a_step_for_which_the_computer_lacks_memory_is_run_again_too(models, dataset, monkeypatch):
    """And the second time it says what to change, and not what the allocator says."""
    from purecc_pack.purecc.host.training.out_of_memory import OutOfMemory

    words = "[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9"
    quiet = runs.Quiet()
    with monkeypatch.context() as patch:
        Failing(patch, 2, error=RuntimeError(words))
        runs.customise(models, dataset, runs.job(steps=3), quiet)
    assert [(note.key, note.values) for note in quiet.notes] == [("note_reduced", {"step": 2})]
    assert [step.number for step in quiet.steps] == [1, 2, 3]
    Failing(monkeypatch, 2, 3, error=RuntimeError(words))
    with pytest.raises(OutOfMemory, match=r"^The computer ran out of memory at step 2, .*batch_size") as raised:
        runs.customise(models, dataset, runs.job(steps=3))
    assert "alloc" not in str(raised.value)


def test_another_error_is_raised_as_it_is(models, dataset, monkeypatch):
    def fail(tensor):
        raise RuntimeError("not a matter of memory")

    monkeypatch.setattr(torch.Tensor, "backward", fail)
    with pytest.raises(RuntimeError, match=r"^not a matter of memory$"):
        runs.customise(models, dataset, runs.job())


SMALLER = "resolution"
PLACES = {
    "reading the captions": ("assembly.PromptCache.prepare", "precision"),
    "copying the text encoders": ("assembly.token_encoder", "precision"),
    "copying the model": ("assembly.private_field", "weight_dtype"),
    "finding the robot in image 1": ("find_masks.concept_mask", SMALLER),
    "generating images of the base model": ("draw_pool.generate_pool", SMALLER),
    "measuring the base model": ("observation.DriftProbe", SMALLER),
    "trying a pass": ("session.timed", SMALLER),
}


@pytest.mark.parametrize("place", PLACES)
def test_running_out_of_memory_outside_the_steps_is_said_clearly(models, dataset, monkeypatch, place):
    from importlib import import_module

    from purecc_pack.purecc.host.training.out_of_memory import OutOfMemory
    from purecc_pack.purecc.method.anchored import AnchoredLearning

    def fail(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    path, instead = PLACES[place]
    module, *owners, name = path.split(".")
    owner = import_module(f"purecc_pack.purecc.host.training.{module}")
    for part in owners:
        owner = getattr(owner, part)
    before = runs.state(models)
    monkeypatch.setattr(owner, name, fail)
    values = {"drift_every": 2, "drift_prompts": ("a lake",), "pool_images": 1}
    job = runs.job(recipe=AnchoredLearning(), **values, pool_prompts=("a tree",))
    with pytest.raises(OutOfMemory, match=rf"{place}.*{instead}") as raised:
        runs.customise(models, dataset, job)
    assert isinstance(raised.value.__cause__, torch.OutOfMemoryError)
    del raised
    assert runs.state(models) == before


def test_too_little_memory_to_read_the_model_again_is_said_clearly(models, dataset, monkeypatch):
    """The host reads the checkpoint again; torch then drops the allocator's own error."""
    import comfy.utils
    from torch.utils._python_dispatch import TorchDispatchMode

    from purecc_pack.purecc.host.training.out_of_memory import OutOfMemory

    class NoRoom(TorchDispatchMode):
        def __torch_dispatch__(self, *args, **kwargs):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    def failing(*args, **kwargs):
        with NoRoom():
            return plain(*args, **kwargs)

    plain, before = comfy.utils.load_torch_file, runs.state(models)
    with monkeypatch.context() as patch:
        patch.setattr(comfy.utils, "load_torch_file", failing)
        with pytest.raises(
            OutOfMemory, match=r"^The computer ran out of memory while copying the model\. .*dtype"
        ) as raised:
            runs.customise(models, dataset, runs.job())
    assert "UntypedStorage" in str(raised.value.__cause__)
    del raised
    assert runs.state(models) == before


LEFT_OUT = {"DriftProbe": "note_no_drift", "PreviewSampler": "note_no_samples"}


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
    from purecc_pack.purecc.host.training import observation

    job, expected = watched
    quiet, tries = runs.Quiet(), []
    plain = getattr(observation, probe).__call__

    def failing(self):
        tries.append(True)
        if len(tries) in fails:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return plain(self)

    monkeypatch.setattr(getattr(observation, probe), "__call__", failing)
    out = runs.customise(models, dataset, job, quiet)
    assert [(n.key, n.values) for n in quiet.notes] == [(LEFT_OUT[probe], {"step": n}) for n in sorted(fails)]
    assert all(str(note) in caplog.text for note in quiet.notes)
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
    from purecc_pack.purecc.host.training import observation

    def fail(self):
        raise RuntimeError("not a matter of memory")

    monkeypatch.setattr(getattr(observation, probe), "__call__", fail)
    with pytest.raises(RuntimeError, match=r"^not a matter of memory$"):
        runs.customise(models, dataset, watched[0])


def test_a_sample_that_the_vae_has_no_memory_for_is_left_out(comfyui):
    """The step is told all the same; the next sample has its base beside it."""
    from purecc_pack.purecc.host.training.node_run import NodeListener
    from purecc_pack.purecc.host.ui.live_run import LiveRun
    from purecc_pack.purecc.host.ui.node_progress import NodeProgress
    from purecc_pack.purecc.host.ui.run_state import About
    from purecc_pack.purecc.training.history import Step
    from purecc_pack.purecc.training.previews import Preview

    def decode(latent):
        decoded.append(True)
        if len(decoded) == 2:  # the base's is there, the other is not
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return torch.zeros(1, 8, 8, 3)

    decoded, live = [], LiveRun(About(None, None, "pure learning", "robot", 9, True))
    shown = NodeListener(NodeProgress(None, "pure learning", 9), SimpleNamespace(decode=decode, latent_dim=2), live)
    for number in (1, 2):
        preview = Preview("a robot", 0, torch.zeros(1, 16, 1, 1), torch.zeros(1, 16, 1, 1))
        shown.step(Step(number, {"total": 1.0}, (), 1e-3, float(number)), [preview])
    state = live.state()
    assert "step 1" in state["note"] and "step 2" not in state["note"]
    assert [row[0] for row in state["rows"]] == [1, 2] and [s["step"] for s in state["samples"]] == [2]
    assert live.picture(0, "base") and live.picture(0, "current")


@pytest.mark.parametrize("most", [1, 3])
def test_what_comes_before_the_steps_shrinks_to_what_fits(models, dataset, monkeypatch, most):
    """Masks, the base's pictures and its drift with as many samples a pass as go, and with the same result."""
    from purecc_pack.purecc.host.models.field import HostField
    from purecc_pack.purecc.host.training import session
    from purecc_pack.purecc.method.anchored import AnchoredLearning

    def velocity(self, x_t, *args):
        if refusing and len(x_t) > most:
            refused.append(len(x_t))
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return plain(self, x_t, *args)

    def timed(plan, *_):
        refusing.clear()  # the steps have a retry of their own
        return plan

    values = {"drift_every": 2, "drift_prompts": ("a lake", "a hill"), "pool_images": 3, "steps": 2, "batch": 2}
    job = runs.job(recipe=AnchoredLearning(), **values, pool_prompts=("a tree",))
    plain, refused, refusing = HostField.velocity, [], []
    monkeypatch.setattr(HostField, "velocity", velocity)
    monkeypatch.setattr(session, "timed", timed)
    # Adam's first steps are as long where a gradient is rounding alone; SGD's are the gradients.
    monkeypatch.setattr(torch.optim, "AdamW", lambda groups, **named: torch.optim.SGD(groups))
    seen = runs.Quiet(), runs.Quiet()
    roomy = runs.customise(models, dataset, job, seen[0])
    refusing.append(True)
    tight = runs.customise(models, dataset, job, seen[1])
    assert set(refused) >= ({8, 4, 2} if most == 1 else {8, 4})
    for ours, theirs in zip(*(quiet.masked[0].items for quiet in seen), strict=True):
        torch.testing.assert_close(ours.mask, theirs.mask, rtol=0, atol=1e-4)
    assert tight.history.losses == pytest.approx(roomy.history.losses, rel=1e-5)
    for key, learned in roomy.adapter.lora.items():
        far = float((tight.adapter.lora[key] - learned).norm() / learned.norm())
        assert far < 1e-4, key
    assert tight.history.steps[-1].drift == pytest.approx(roomy.history.steps[-1].drift, rel=1e-3)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried to"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("unable to mmap 99 bytes from file <x>: Cannot allocate memory (12)"),
        MemoryError("Cannot allocate memory (os error 12)"),
        torch.OutOfMemoryError("CUDA out of memory."),
    ],
)
def test_memory_that_runs_out_anywhere_is_said_in_words(models, dataset, monkeypatch, error):
    from purecc_pack.purecc.host.training import session
    from purecc_pack.purecc.host.training.out_of_memory import OutOfMemory

    def fails(*_):
        raise error

    monkeypatch.setattr(session, "check_images", fails)
    with pytest.raises(OutOfMemory, match=r"^The computer ran out of memory while training\. Use a smaller resolution"):
        runs.customise(models, dataset, runs.job())


def test_another_error_is_none_of_memory(comfyui):
    from purecc_pack.purecc.host.training.out_of_memory import is_oom

    assert not is_oom(RuntimeError("size mismatch")) and not is_oom(ValueError("std::bad_alloc"))
