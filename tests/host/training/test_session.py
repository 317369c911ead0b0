"""The user's MODEL, CLIP and VAE after training, however it ended."""

import gc
import weakref

import pytest
import runs
import torch
from untouched import clean, full_job

pytestmark = pytest.mark.slow


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
    from purecc_pack.purecc.method.baselines import OutputPreservation

    return runs.job("dop", OutputPreservation("base"), steps=1, batch=3, trace_steps=frozenset([1]))


def test_nothing_keeps_the_private_copy_alive(own, dataset, monkeypatch):
    from purecc_pack.purecc.host.training import assembly

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


def test_a_caller_can_look_inside_a_run(models, dataset):
    """Before the first step and, as its listener, after every one; what is learned is the same."""
    from purecc_pack.purecc.host.training.session import prepared

    seen = []

    def look(step=None):
        t = torch.full((1,), 0.5)
        v = session.assembly.branched.run("learner", torch.ones(1, 16, 8, 8), t, ["a lighthouse"])
        seen.append((step and step.number, float(v.detach().sum())))

    job = runs.job(steps=2, sample_prompts=("a lighthouse",))
    with torch.inference_mode(), prepared(models, dataset, job, runs.Quiet()) as session:
        look()
        outcome = session.train(runs.Quiet(at_step=look))
    assert [number for number, _ in seen] == [None, 1, 2] and len({value for _, value in seen}) == 3
    assert outcome.adapter.id == runs.customise(models, dataset, runs.job(steps=2)).adapter.id


def test_the_phases_are_told_in_the_order_in_which_they_come(models, dataset, monkeypatch):
    from purecc_pack.purecc.host.messages import Phase
    from purecc_pack.purecc.method.anchored import AnchoredLearning
    from purecc_pack.purecc.training import companions

    monkeypatch.setattr(companions, "WIDE", 0.0)  # a model with random weights finds but one thing
    quiet = runs.Quiet()
    values = {"pool_images": 1, "steps": 1, "drift_prompts": ("a lake",)}
    runs.customise(models, dataset, runs.job(recipe=AnchoredLearning(), **values), quiet)
    assert list(dict.fromkeys(name for name, _ in quiet.phases)) == [phase.name for phase in Phase]
