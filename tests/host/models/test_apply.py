"""Apply Adapter against the stock nodes."""

from dataclasses import replace

import pytest
import runs
import standin
import torch
from applied import applied, differ, image

pytestmark = pytest.mark.slow


CAPTION = "a embedding:{} robot on red stripes, at night"


@pytest.fixture
def saved(comfyui):
    """Saves adapters where the host's stock loaders find them."""
    import folder_paths

    from purecc_pack.purecc.adapters import files

    written = []

    def save(adapter):
        loras, embeddings = (folder_paths.get_folder_paths(kind)[0] for kind in ("loras", "embeddings"))
        written.extend(files.save(adapter, loras, embeddings))
        return f"{adapter.name}.safetensors"

    yield save
    for path in written:
        path.unlink()


def stock(models, *names, strength=1.0):
    from nodes import LoraLoader

    model, clip = models.model, models.clip
    with torch.inference_mode():
        for name in names:
            model, clip = LoraLoader().load_lora(model, clip, name, strength, strength)
    return model, clip


@pytest.mark.parametrize("strength", [1.0, 0.7])
def test_stock_loaders_give_the_same_image_bit_for_bit(models, token_only, saved, strength):
    prompt = CAPTION.format("plain")
    ours = image(applied(models, token_only, strength=strength), prompt)
    name = saved(token_only)
    theirs = image(stock(models, name, strength=strength), prompt)
    assert torch.equal(ours, theirs)
    assert differ(ours, image((models.model, models.clip), prompt)), "the LoRA does something"
    assert differ(ours, image(stock(models, name, strength=strength), "a robot on red stripes, at night")), (
        "so does [v]"
    )


def test_two_adapters_as_two_stock_loaders(models, token_only, dataset, saved):
    other = runs.customise(models, dataset, runs.job("other", layer_wise=False, seed=3, lr=3e-2)).adapter
    prompt = "a embedding:plain robot beside a embedding:other robot"
    ours = image(applied(models, token_only, other), prompt)
    assert torch.equal(ours, image(stock(models, saved(token_only), saved(other)), prompt))
    assert differ(ours, image(applied(models, token_only), prompt))


def test_an_applied_adapter_wins_over_a_saved_one_of_its_name(models, token_only, extractor, saved):
    fresh = replace(extractor, kind="adapter", name="plain", layers=None)
    expected = image(applied(models, fresh), CAPTION.format("plain"))
    saved(token_only)
    assert torch.equal(image(applied(models, fresh), CAPTION.format("plain")), expected)
    assert differ(image(stock(models, "plain.safetensors"), CAPTION.format("plain")), expected)


def test_loaded_from_files_is_as_fresh(models, learned, saved):
    from purecc_pack.purecc.host.models.adapter_folders import load_adapter

    fresh = image(applied(models, learned.adapter), CAPTION.format("pure"))
    assert torch.equal(image(applied(models, load_adapter(saved(learned.adapter))), CAPTION.format("pure")), fresh)


def test_apply_leaves_the_users_objects_alone(checkpoint, learned):
    own = runs.load(checkpoint)
    before = runs.state(own)
    image(applied(own, learned.adapter), CAPTION.format("pure"))
    assert runs.state(own) == before


def test_apply_computes_what_training_computed(models, dataset, extractor):
    """θ1 as stage 2 runs it, layer-wise vectors by hooks, against θ1 applied and run by the host."""
    from purecc_pack.purecc.method.pure_learning import PureLearning
    from purecc_pack.purecc.method.recipe import EXTRACTOR

    generator = torch.Generator().manual_seed(0)
    x_t, t = torch.randn(3, 16, 8, 8, generator=generator), torch.tensor([0.9, 0.5, 0.2])
    texts = ["a [v] robot on red stripes", "[v] robot", "a robot on red stripes"]
    with runs.at_work(models, dataset, runs.job(recipe=PureLearning()), extractor) as (branched, _), torch.no_grad():
        trained = branched.run(EXTRACTOR, x_t, t, texts)
    model, clip = applied(models, extractor)
    prompts = [text.replace("[v]", "embedding:ext") for text in texts]
    each = zip(x_t.split(1), t.split(1), prompts, strict=True)
    ours = torch.cat([runs.velocity(model, x, s, runs.encode(clip, prompt)) for x, s, prompt in each])
    torch.testing.assert_close(ours, trained, rtol=1e-4, atol=1e-4)


def test_another_kind_of_model_or_clip_is_refused(tmp_path, models, learned):
    from purecc_pack.purecc.host.models.apply import apply

    deeper = runs.load(standin.write(tmp_path / "deeper.safetensors", depth=3))
    with pytest.raises(ValueError, match=r"'pure'.*\(\d+, \d+\)"):
        apply(deeper.model, models.clip, learned.adapter)
    wide = replace(learned.adapter, tokens={"clip_l": torch.zeros(1, 768)})
    with pytest.raises(ValueError, match=r"'pure'.*clip_l.* 768 .* 64"):
        apply(models.model, models.clip, wide)
    few = replace(learned.adapter, layers=learned.adapter.layers[:1])
    with pytest.raises(ValueError, match=r"'pure'.* 1 .* 2"):
        apply(models.model, models.clip, few)
