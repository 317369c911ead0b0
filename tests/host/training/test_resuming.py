"""Runs that are broken off and go on: the result is that of a run in one piece, bit for bit."""

import shutil

import pytest
import runs
import torch

pytestmark = pytest.mark.slow

STEPS = 4


class Stop(BaseException):
    """Ends a run as Cancel does, which is no Exception."""


@pytest.fixture
def folder(tmp_path, comfyui):
    from purecc_pack.purecc.host.training.state_files import StateFolder

    return StateFolder(tmp_path / "states")


def resumer(folder, mode="auto", every=60.0, name="pure", **values):
    from purecc_pack.purecc.host.training.resuming import Resumer, Resuming

    notes = []
    made = Resumer(
        Resuming(mode, every, values.pop("keep", False)), name, lambda m, t: notes.append(m), folder=folder, **values
    )
    made.notes = notes
    return made


def customise(models, dataset, job, listener=None, extractor=None, resumer=None):
    from purecc_pack.purecc.host.training import session

    with torch.inference_mode():
        return session.customise(models, dataset, job, listener or runs.Quiet(), extractor, None, resumer)


def broken(models, dataset, job, folder, at=2, extractor=None, **values):
    """Break a run off in the middle of what follows a step."""

    def stop(step):
        if step.number == at:
            raise Stop

    made = resumer(folder, **values)
    with pytest.raises(Stop):
        customise(models, dataset, job, runs.Quiet(at_step=stop), extractor, made)
    return made


def figures(history):
    return [(s.number, s.losses, s.scales, s.lr, s.drift) for s in history.steps]


def assert_same(one, two):
    assert figures(one.history) == figures(two.history)
    assert one.adapter.id == two.adapter.id


WATCHED = {"drift_every": 2, "drift_prompts": ("a lake",), "sample_every": 4, "accumulation": 2}


EVERY = ["anchored", "PureCC (class images)", "PureCC (paper)", "prior preservation", "LoRA", "DOP", "BPP"]


@pytest.mark.parametrize("method", EVERY)
def test_a_run_in_two_pieces_is_a_run_in_one(models, dataset, extractor, folder, method):
    """With trained tokens, layer-wise vectors, accumulation, masks, pool, samples and drift in the way."""
    from purecc_pack.purecc.method.methods import METHODS, MethodOptions

    assert set(METHODS) == set(EVERY)
    recipe = METHODS[method](MethodOptions())
    theta1 = extractor if recipe.needs_extractor else None
    watched = WATCHED if method in ("anchored", "PureCC (paper)") else {}
    job = runs.job(recipe=recipe, steps=STEPS, schedule="cosine", warmup=1, pool_images=2, **watched)
    whole, seen = customise(models, dataset, job, extractor=theta1), runs.Quiet()
    broken(models, dataset, job, folder, extractor=theta1)
    assert len(folder.all()) == 1
    made = resumer(folder)
    outcome = customise(models, dataset, job, seen, theta1, made)
    assert_same(outcome, whole)
    assert [s.number for s in seen.steps] == list(range(1, STEPS + 1)), "the curves have all steps, each once"
    assert outcome.history.resumed == (2,) and "Continues from step 2 of 4" in str(made.notes[0])
    assert folder.all() == [], "the run has ended well"


def test_a_run_that_is_killed_goes_on_from_its_latest_state(models, dataset, folder, monkeypatch):
    """Two states are kept; where the latest is damaged, the one before it serves."""
    from purecc_pack.purecc.host.training import resuming
    from purecc_pack.purecc.host.training.resuming import Resumer

    job = runs.job(steps=STEPS)
    whole = customise(models, dataset, job)
    monkeypatch.setattr(resuming, "SHARE", 1e9)
    monkeypatch.setattr(Resumer, "broken", lambda *_: None)  # as kill -9 does
    broken(models, dataset, job, folder, at=4, every=1e-9)
    assert [file.about["step"] for file in folder.all()] == [3, 2]
    shutil.copytree(folder.folder, folder.folder.parent / "again")
    outcome = customise(models, dataset, job, resumer=resumer(folder))
    assert_same(outcome, whole)
    assert outcome.history.resumed == (3,)

    shutil.copytree(folder.folder.parent / "again", folder.folder, dirs_exist_ok=True)
    latest = folder.all()[0].path
    blob = bytearray(latest.read_bytes())
    blob[-9] ^= 1
    latest.write_bytes(blob)
    outcome = customise(models, dataset, job, resumer=resumer(folder))
    assert_same(outcome, whole)
    assert outcome.history.resumed == (2,)


def test_cancel_within_a_step_loses_that_step_alone(models, dataset, folder):
    """The draws of the step are taken back."""
    from purecc_pack.purecc.training import loop

    job, calls = runs.job(steps=3, accumulation=2), []
    whole = customise(models, dataset, job)
    gradient = loop.gradient

    def stopping(*args):
        calls.append(1)
        if len(calls) == 4:
            raise Stop
        return gradient(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "gradient", stopping)
        with pytest.raises(Stop):
            customise(models, dataset, job, resumer=resumer(folder))
    assert [file.about["step"] for file in folder.all()] == [1]
    assert_same(customise(models, dataset, job, resumer=resumer(folder)), whole)


def test_a_state_that_does_not_fit_is_refused_with_what_differs(models, dataset, folder):
    job = runs.job(steps=3)
    broken(models, dataset, job, folder)
    others = runs.build(models, runs.pictures(seed=1))
    for data, other, told in (
        (dataset, runs.job(steps=3, lr=2e-2), "learning_rate was 0.01 and is 0.02"),
        (dataset, runs.job(steps=4), "steps was 3 and is 4"),
        (others, job, "6 images or captions are others"),
    ):
        made = resumer(folder, every=0)
        outcome = customise(models, data, other, resumer=made)
        assert outcome.history.resumed == () and told in str(made.notes[0]), str(made.notes)
        assert len(folder.all()) == 1, "it is still there for the run that it fits"


def test_another_base_is_another_run(checkpoint, dataset, folder):
    own, job = runs.load(checkpoint), runs.job(steps=3)
    broken(own, dataset, job, folder)
    with torch.inference_mode():
        next(iter(own.model.model.diffusion_model.parameters())).view(-1)[7] += 1
    own.model.cached_patcher_init = None
    made = resumer(folder, every=0)
    assert customise(own, dataset, job, resumer=made).history.resumed == ()
    assert "the base model is another" in str(made.notes[0])


def test_a_run_goes_on_only_as_it_is_told(models, dataset, folder):
    from purecc_pack.purecc.host.training.offers import GRANTS

    job = runs.job(steps=3)
    broken(models, dataset, job, folder, prompt="f" * 64)
    for mode, granted, resumed in (("never", False, ()), ("ask", False, ()), ("ask", True, (2,))):
        shutil.copytree(folder.folder, folder.folder.parent / "again", dirs_exist_ok=True)
        GRANTS.give("f" * 64, granted)
        made = resumer(folder, mode, prompt="f" * 64)
        assert customise(models, dataset, job, resumer=made).history.resumed == resumed
        assert not GRANTS.take("f" * 64), "an answer holds for one run"
        shutil.copytree(folder.folder.parent / "again", folder.folder, dirs_exist_ok=True)


def test_training_on_is_exact_where_the_state_was_kept(models, dataset, folder):
    """Else the weights are the start, and the metadata say which."""
    import json

    def origin(outcome):
        return json.loads(outcome.adapter.metadata["purecc.report"])["trained_on"]

    whole = customise(models, dataset, runs.job(steps=4))
    first = customise(models, dataset, runs.job(steps=2), resumer=resumer(folder, keep=True)).adapter
    assert folder.all() == [] and folder.kept(first.id) is not None
    made = resumer(folder, train_on=first)
    exact = customise(models, dataset, runs.job(steps=2), resumer=made)
    assert_same(exact, whole)
    assert origin(exact) == {"name": "pure", "id": first.id, "exact": True, "steps": 2}
    assert len(exact.history.steps) == 4
    made = resumer(folder, train_on=first)
    warm = customise(models, dataset, runs.job(steps=2, lr=2e-2), resumer=made)
    assert "fresh optimiser: learning_rate was 0.01 and is 0.02" in str(made.notes[0])
    assert not origin(warm)["exact"] and len(warm.history.steps) == 2
    shutil.rmtree(folder.folder / "kept")
    made = resumer(folder, train_on=first)
    still = customise(models, dataset, runs.job(steps=1, lr=0.0, embedding_lr=1e-30, weight_decay=0.0), resumer=made)
    assert "its state was not kept" in str(made.notes[0])
    assert all(torch.equal(still.adapter.lora[key], first.lora[key]) for key in first.lora), "it begins as the adapter"
    with pytest.raises(ValueError, match=r"train_on, 'pure'.*rank"):
        from purecc_pack.purecc.network.lora import LoraSpec

        job = runs.job(steps=1, lora=LoraSpec(rank=2))
        customise(models, dataset, job, resumer=resumer(folder, train_on=first))


def test_a_broken_run_that_trained_on_goes_on(models, dataset, folder):
    whole = customise(models, dataset, runs.job(steps=5))
    first = customise(models, dataset, runs.job(steps=2), resumer=resumer(folder, keep=True)).adapter
    broken(models, dataset, runs.job(steps=3), folder, at=4, train_on=first)
    outcome = customise(models, dataset, runs.job(steps=3), resumer=resumer(folder, train_on=first))
    assert_same(outcome, whole)
    assert outcome.history.resumed == (4,)


def test_the_same_seed_with_another_name_gives_the_same_adapter(models, dataset):
    one, two = (customise(models, dataset, runs.job(name, steps=1)).adapter for name in ("one", "two"))
    assert one.id == two.id


def test_a_state_takes_four_times_the_adapter_at_most(models, dataset, folder, tmp_path):
    from dataclasses import replace

    from purecc_pack.purecc.adapters import files
    from purecc_pack.purecc.network.lora import LoraSpec

    job = runs.job(steps=2, lora=LoraSpec(rank=16))
    adapter = customise(models, dataset, job, resumer=resumer(folder, keep=True)).adapter
    paths = files.save(replace(adapter, name="kept"), tmp_path / "loras", tmp_path / "embeddings")
    size = sum(path.stat().st_size for path in paths)
    assert folder.kept(adapter.id).path.stat().st_size < 4 * size
