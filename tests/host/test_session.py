"""The user's MODEL, CLIP and VAE after training, however it ended."""

import gc
import logging
import tempfile
import weakref

import pytest
import runs
import torch


@pytest.fixture(params=["reloaded", "copied"])
def own(request, checkpoint):
    """Models of this test alone, by either route to a private copy."""
    return runs.load(checkpoint, reload=request.param == "reloaded")


@pytest.fixture
def quiet_host(caplog, monkeypatch, tmp_path):
    """Fails a test that makes the host warn of a leak, or leaves temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    caplog.set_level(logging.INFO)
    yield
    assert not [r.getMessage() for r in caplog.records if "memory leak" in r.getMessage().lower()]
    assert not list(tmp_path.iterdir())


def clean(before, alive, models):
    """Whether everything is as it was."""
    from comfy import model_management

    assert not model_management.in_training
    assert runs.state(models) == before
    assert runs.census() == alive
    ours = {id(p.model) for p in models.patchers}
    model_management.cleanup_models_gc()
    for loaded in model_management.current_loaded_models:
        assert id(loaded.model.model) in ours


def full_job(**values):
    from purecc_pack.purecc.recipes import PureLearning

    return runs.job("pure", PureLearning(), drift_every=2, drift_prompts=("a lake",), sample_every=2, **values)


def test_training_leaves_the_models_bit_identical(own, dataset, extractor, quiet_host):
    before, alive = runs.state(own), runs.census()
    seen = []
    listener = runs.Quiet(at_step=lambda step: seen.append(runs.census()))
    out = runs.customise(own, dataset, full_job(), listener, extractor)
    assert [s.number for s in listener.steps] == [1, 2, 3]
    assert [p is not None for p in listener.previews] == [False, True, True]
    assert [number for number, _ in out.history.drift] == [2, 3]
    assert all(s["networks"] == alive["networks"] + 1 and s["loras"] > 0 for s in seen), "one private copy in training"
    clean(before, alive, own)


def test_an_error_in_a_callback_leaves_the_models_bit_identical(own, dataset, extractor, quiet_host):
    before, alive = runs.state(own), runs.census()

    def fail(step):
        if step.number == 2:
            raise RuntimeError("the callback failed")

    with pytest.raises(RuntimeError, match="the callback failed") as raised:
        runs.customise(own, dataset, full_job(), runs.Quiet(at_step=fail), extractor)
    del raised
    clean(before, alive, own)


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


@pytest.mark.parametrize("text", ["reading the captions", "copying the model", "drawing picture", "measuring"])
def test_cancel_before_the_first_step(checkpoint, dataset, quiet_host, text):
    from comfy import model_management

    from purecc_pack.purecc.recipes import PriorPreservation

    own = runs.load(checkpoint)
    before, alive = runs.state(own), runs.census()
    told = []

    def cancel(said):
        told.append(said)
        if said.startswith(text):
            model_management.interrupt_current_processing()

    listener = runs.Quiet(at_text=cancel)
    job = runs.job(recipe=PriorPreservation(), pool_images=1, drift_every=1, drift_prompts=("a lake",))
    try:
        with pytest.raises(model_management.InterruptProcessingException) as raised:
            runs.customise(own, dataset, job, listener)
    finally:
        model_management.interrupt_current_processing(False)
    del raised
    assert told[-1].startswith(text)
    clean(before, alive, own)


@pytest.mark.parametrize(
    ("probe", "method", "passes"),
    [
        ("measure.DriftProbe", "__init__", 3),
        ("measure.DriftProbe", "__call__", 1),
        ("previews.PreviewProbe", "__call__", 5),
    ],
)
def test_cancel_stops_within_a_pass_of_what_a_step_measures_or_draws(
    checkpoint, dataset, quiet_host, monkeypatch, probe, method, passes
):
    """The host's own layers look for it, and so every pass of the base, of drift and of a sample does."""
    from importlib import import_module

    from comfy import model_management

    from purecc_pack.purecc.host.field import HostField

    module, name = probe.split(".")
    watched = getattr(import_module(f"purecc_pack.purecc.{module}"), name)
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


@pytest.mark.parametrize("reload", [True, False])
def test_models_in_use_are_trained_and_given_back(checkpoint, dataset, reload):
    """Loaded and patched when training begins, as after a sampling in the same workflow."""
    from comfy import model_management

    plain = runs.load(checkpoint, reload)
    own = user_lora(plain, strength=1.0)
    before = runs.state(own)
    model_management.load_models_gpu([p for p in own.patchers])
    out = runs.customise(own, dataset, runs.job())
    assert runs.state(own) == before
    assert before["model"]["patches"], "the LoRA is on"
    assert runs.state(plain)["model"]["weights"] == before["model"]["weights"]
    again = runs.customise(own, dataset, runs.job())
    assert out.adapter.id == again.adapter.id, "what was loaded and patched makes no difference"


def user_lora(models, strength):
    """The models with a stock LoRA on MODEL and CLIP."""
    import comfy.sd

    generator = torch.Generator().manual_seed(5)
    lora = {}
    network = models.model.model.diffusion_model
    for name in ("joint_blocks.0.x_block.attn.qkv", "joint_blocks.1.x_block.mlp.fc1"):
        layer = network.get_submodule(name)
        lora[f"diffusion_model.{name}.lora_up.weight"] = 0.3 * torch.randn(layer.out_features, 2, generator=generator)
        lora[f"diffusion_model.{name}.lora_down.weight"] = torch.randn(2, layer.in_features, generator=generator)
    width = 64
    key = "lora_te1_text_model_encoder_layers_0_mlp_fc1"
    lora[f"{key}.lora_up.weight"] = 0.3 * torch.randn(2 * width, 2, generator=generator)
    lora[f"{key}.lora_down.weight"] = torch.randn(2, width, generator=generator)
    with torch.inference_mode():
        model, clip = comfy.sd.load_lora_for_models(models.model, models.clip, lora, strength, strength)
    assert len(model.patches) == 2 and len(clip.patcher.patches) == 1
    return runs.Models(model, clip, models.vae)


def test_a_users_lora_is_part_of_the_base(own, dataset):
    """Training sees the model as the user has patched it, text encoder too, and the patches survive."""
    own_patched = user_lora(own, strength=0.8)
    before = runs.state(own_patched)
    trace = runs.customise(own_patched, dataset, traced()).traces[1]
    assert runs.state(own_patched) == before
    unpatched = runs.customise(own, dataset, traced()).traces[1]
    assert torch.equal(trace["x_t"], unpatched["x_t"])
    assert not torch.allclose(trace["v.base.base"], unpatched["v.base.base"], atol=1e-2)
    x_t, t = trace["x_t"], trace["t"]
    texts = [i.texts.base for i in runs.items_of(own, dataset, trace)]
    each = zip(x_t.split(1), t.split(1), texts, strict=True)
    conds = [(x, s, runs.encode(own_patched.clip, text)) for x, s, text in each]
    expected = torch.cat([runs.velocity(own_patched.model, x, s, cond) for x, s, cond in conds])
    torch.testing.assert_close(trace["v.base.base"], expected, rtol=1e-3, atol=1e-4)


def traced():
    from purecc_pack.purecc.recipes import OutputPreservation

    return runs.job("dop", OutputPreservation("base"), steps=1, batch=3, trace_steps=frozenset([1]))


def test_nothing_keeps_the_private_copy_alive(own, dataset, monkeypatch):
    from purecc_pack.purecc.host import assembly

    copies = []
    made = assembly.private_field

    def watched(*args):
        manager = made(*args)

        class Watching:
            def __enter__(self):
                field = manager.__enter__()
                copies.append(weakref.ref(field.base))
                return field

            def __exit__(self, *error):
                return manager.__exit__(*error)

        return Watching()

    monkeypatch.setattr(assembly, "private_field", watched)
    out = runs.customise(own, dataset, runs.job(steps=1, checkpointing="all"))
    gc.collect()
    assert len(copies) == 1 and copies[0]() is None
    assert all(not t.requires_grad and not t.is_inference() for t in out.adapter.lora.values())
