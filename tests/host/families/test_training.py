"""Runs on every family's tiny genuine model: the stages, the masks, the pool, drift, the files, cancel and failure."""

import math

import genuine
import pytest
import runs
import tiny_clips
import torch
from genuine.training import Tiny

pytestmark = pytest.mark.slow

MANY = {"SD1.5", "SDXL", "Flux.1-dev", "Flux.2-klein", "Qwen-Image", "Z-Image", "Chroma", "Wan2.1/2.2-A14B"}
"""Families that also sample previews."""
OWN_ENCODERS = ("Flux.2-dev", "NewBie")
"""Those with other text encoders than the rest of their family."""


@pytest.fixture(scope="module", params=genuine.TRAINED)
def tiny(comfyui, request):
    return Tiny(request.param)


@pytest.fixture(scope="module")
def extracted(tiny):
    """Stage 1: (Outcome, what the listener heard, whether the user's model is as before)."""
    from purecc_pack.purecc.method.pure_learning import ConceptCustomisation

    before = tiny.state()
    outcome, quiet = tiny.train(ConceptCustomisation(), "ext", kind="extractor")
    return outcome, quiet, tiny.state() == before


@pytest.fixture(scope="module")
def anchored(tiny):
    """The anchored method with masks, a pool and drift, on fewer samples than users have."""
    from purecc_pack.purecc.method.anchored import AnchoredLearning
    from purecc_pack.purecc.training import concept_masks, pool, previews

    watched = {"drift_every": 1, "drift_prompts": ("a lake",), "sample_every": int(tiny.name in MANY)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(concept_masks, "SAMPLES", 2)
        patch.setattr(pool, "STEPS", 2)
        patch.setattr(previews, "STEPS", 2)
        return tiny.train(AnchoredLearning(), "anchored", pool_images=1, pool_prompts=("a boat",), **watched)


def test_the_extractor_learns_a_trigger_word(tiny, extracted, record):
    """Since these text encoders take no token; the user's model is as before."""
    outcome, quiet, untouched = extracted
    adapter = outcome.adapter
    assert untouched
    assert len(outcome.history.losses) == 1 and math.isfinite(outcome.history.losses[0])
    assert not adapter.tokens and adapter.layers is None
    assert "note_trigger_word" in [n.key for n in quiet.notes]
    assert "a ext robot on red stripes" in tiny.models.clip.texts
    assert adapter.metadata["modelspec.trigger_phrase"] == "ext robot"
    assert learned(adapter)
    record(tiny.name, **facts(tiny, adapter))


def learned(adapter):
    return any(w.any() for k, w in adapter.lora.items() if k.endswith("lora_up.weight"))


def with_encoders(family):
    """Whether test_input_token.py trains a token in the text encoders of a family."""
    from purecc_pack.purecc.host.families import ENCODERS_OF

    kinds = {cls.__name__ for _, kind in tiny_clips.kinds().values() for cls in kind.__mro__}
    return ENCODERS_OF.get(family.name) in kinds


def facts(tiny, adapter):
    """What the page says of the family beside the tests' results."""
    from purecc_pack.purecc.host.families import family_of
    from purecc_pack.purecc.host.families.sizes import RULES
    from purecc_pack.purecc.host.models.carrying import ways
    from purecc_pack.purecc.host.models.noise_path import noise_path

    model = tiny.models.model
    family, network = family_of(model), model.model.diffusion_model
    return {
        "cls": next(cls.__name__ for cls in tiny.recipe["cls"].__mro__ if cls.__module__.startswith("comfy.")),
        "listed": family.listed,
        "predicts": getattr(noise_path(model.get_model_object("model_sampling")), "predicts", "velocity"),
        "ways": [way.value for way in ways(family)],
        "encoders tested": family.text is not None or (with_encoders(family) and tiny.name not in OWN_ENCODERS),
        "vectors": len(family.text_inputs(network)),
        "layers": sum(k.endswith(".alpha") for k in adapter.lora),
        "parameters": sum(p.numel() for p in network.parameters()),
        "channels": tiny.latent[0],
        "sizes": RULES[family.name].words if family.name in RULES else "any",
        "pixels": int(getattr(model.model.latent_format, "spacial_downscale_ratio", 8)),
    }


@pytest.mark.parametrize("origin", ["theta2", "base"])
def test_pure_learning_from_an_extractor(tiny, extracted, origin, record):
    from purecc_pack.purecc.method.pure_learning import PureLearning

    extractor = extracted[0].adapter
    outcome, _ = tiny.train(PureLearning(v_original=origin), "pure", extractor)
    scales = [s for step in outcome.history.steps for s in step.scales]
    assert len(scales) == 2 and all(math.isfinite(s) for s in scales)
    assert learned(outcome.adapter)
    record(tiny.name, **{origin: True})


def test_the_anchored_method_with_masks_pool_and_drift(tiny, anchored, record):
    outcome, quiet = anchored
    (masked,) = quiet.masked
    _, height, width = tiny.dataset.items[0].latents.shape[1:]
    found = masked.items[0].mask
    assert found.shape == (1, 1, height, width) and found.any()
    ((_, drift),) = outcome.history.drift
    assert drift > 0 and math.isfinite(drift)
    if tiny.name in MANY:
        (preview,) = quiet.previews[-1]
        assert preview.current.shape == tiny.dataset.items[0].latents.shape and preview.current.isfinite().all()
        assert not torch.equal(preview.current, preview.base)
    record(tiny.name, anchored=True)


def test_the_branch_in_training_is_the_file_in_the_stock_loader(tiny, extracted, record):
    """v of the LoRA as it trains is v of the host's own model with the file loaded."""
    import comfy.sd

    from purecc_pack.purecc.host.evaluation.drift import velocity
    from purecc_pack.purecc.host.models.copies import trainable_world
    from purecc_pack.purecc.host.models.field import private_field
    from purecc_pack.purecc.network.lora import LoraBranches

    models, adapter = tiny.models, extracted[0].adapter
    t = torch.tensor([0.6])
    x_t = torch.randn(tiny.dataset.items[0].latents.shape, generator=torch.Generator().manual_seed(9))
    y = conditioning(models, "a lake")
    with trainable_world(), torch.no_grad(), private_field(models.model) as field:
        branches = LoraBranches(field.module, field.family.layers)
        branches.load("learner", adapter.lora)
        base = field.velocity(x_t, t, y)
        with branches.use("learner"):
            ours = field.velocity(x_t, t, y)
        branches.remove()
        framed = x_t.unsqueeze(2) if models.model.model.latent_format.latent_dimensions == 3 else x_t
    loaded, _ = comfy.sd.load_lora_for_models(models.model, None, dict(adapter.lora), 1.0, 0)
    assert len(loaded.patches) == len(adapter.lora) // 3
    with torch.inference_mode():
        theirs = velocity(loaded, framed, t, [[y.context, dict(y.fields[0])]]).view_as(ours)
    error = float((ours - theirs).norm() / ours.norm())
    assert error < 1e-4
    assert (ours - base).norm() > 1e-3 * base.norm()
    record(tiny.name, branch=error)


def conditioning(models, text):
    from purecc_pack.purecc.host.families import family_of
    from purecc_pack.purecc.host.models.conditioning import PromptCache

    return PromptCache(models.clip, "x", {}, models.model.load_device, family_of(models.model).fields)[text]


def drawn(tiny, model):
    """A latent of the stock KSampler."""
    from nodes import KSampler

    with torch.inference_mode():
        asked = [tiny.models.clip.encode_from_tokens_scheduled(text) for text in ("a anchored robot", "")]
        empty = {"samples": torch.zeros(1, *tiny.latent)}
        return KSampler().sample(model, 1, 2, 3.0, "euler", "simple", *asked, empty)[0]["samples"]


def test_stock_nodes_draw_the_image_of_apply_adapter(tiny, anchored, host_folders, record):
    """Saved by Save Adapter, loaded by the stock LoRA loader, drawn by the stock KSampler: the same to the bit."""
    from nodes import LoraLoaderModelOnly
    from purecc_pack.nodes import ApplyAdapter, LoadAdapter, SaveAdapter

    model, adapter = tiny.models.model, anchored[0].adapter
    runs.execute(SaveAdapter, adapter=adapter, overwrite=False)
    loaded = runs.execute(LoadAdapter, adapter_name="anchored.safetensors").args[0]
    applied = runs.execute(ApplyAdapter, model=model, clip=tiny.models.clip, adapter=loaded).args[0]
    with torch.inference_mode():
        stock = LoraLoaderModelOnly().load_lora_model_only(model, "anchored.safetensors", 1.0)[0]
    ours, theirs, base = (drawn(tiny, m) for m in (applied, stock, model))
    assert ours.isfinite().all() and torch.equal(ours, theirs)
    assert not torch.equal(ours, base)
    record(tiny.name, stock=True)


def test_cancel_and_failure_leave_the_model_as_it_was(tiny, quiet_host, monkeypatch, record):
    from comfy import model_management

    from purecc_pack.purecc.host.models.field import HostField
    from purecc_pack.purecc.method.pure_learning import ConceptCustomisation

    before = tiny.state()
    cancel = runs.Quiet(at_step=lambda _: model_management.interrupt_current_processing())
    try:
        with pytest.raises(model_management.InterruptProcessingException):
            tiny.train(ConceptCustomisation(), "cancelled", listener=cancel, steps=2)
    finally:
        model_management.interrupt_current_processing(False)
    assert len(cancel.steps) == 1
    assert tiny.state() == before and not model_management.in_training

    class Broken(Exception):
        pass

    velocity = HostField.velocity

    def breaks(field, *given):
        out = velocity(field, *given)
        if out.requires_grad:
            raise Broken
        return out

    monkeypatch.setattr(HostField, "velocity", breaks)
    with pytest.raises(Broken):
        tiny.train(ConceptCustomisation(), "broken", checkpointing="all")
    assert tiny.state() == before and not model_management.in_training
    record(tiny.name, untouched=True)
