"""Whole runs with a token in the text encoders of three families, and the adapter on stock prompts or Apply Adapter."""

import pytest
import runs
import tiny_clips
import torch
from applied import applied, velocities
from genuine.training import Tiny

pytestmark = pytest.mark.slow

SIZES = {
    "SDXL": {"clip_l": {"hidden_size": 768}, "clip_g": {"hidden_size": 1280}},
    "Z-Image": {"qwen3_4b": {"hidden_size": 64, "num_hidden_layers": 3}},
    "Qwen-Image": {"qwen25_7b": {"hidden_size": 64}},
}


@pytest.fixture(scope="module", params=SIZES)
def family(comfyui, request):
    """(name, models, dataset) of a family with its own text encoders."""
    from purecc_pack.purecc.host.models.host_models import HostModels

    torch.set_num_threads(1)
    tiny = Tiny(request.param)
    with torch.inference_mode():
        clip = tiny_clips.build(request.param, **SIZES[request.param])
    return request.param, HostModels(tiny.models.model, clip), tiny.dataset


def job(name="ext", **values):
    from purecc_pack.purecc.network.lora import LoraSpec

    values = {"lora": LoraSpec(rank=2, alpha=2.0), "steps": 2, "lr": 3e-2, "embedding_lr": 3e-2, **values}
    return runs.job(name, kind="extractor", **values)


def test_a_token_and_vectors_are_trained_and_applied_as_they_were_trained(family):
    import comfy

    from purecc_pack.purecc.method.pure_learning import PureLearning
    from purecc_pack.purecc.method.recipe import EXTRACTOR

    name, models, dataset = family
    before = runs.digest(models.clip.cond_stage_model.state_dict())
    quiet = runs.Quiet()
    extractor = runs.customise(models, dataset, job(concept_by="input token"), quiet).adapter
    assert set(extractor.tokens) == set(SIZES[name])
    start = runs.customise(models, dataset, job(concept_by="input token", embedding_lr=0.0)).adapter
    for key, token in extractor.tokens.items():
        assert not torch.equal(token, start.tokens[key]), "it was trained"
    assert (extractor.layers != start.layers).any(dim=1).all()
    by = {"Qwen-Image": "token, through Apply Adapter"}.get(name, "token, found by stock embedding:")
    assert extractor.metadata["purecc.carried_by"] == by and extractor.needs_apply
    notes = {note.key for note in quiet.notes}
    assert ("note_token_memory" in notes) == (name != "SDXL")
    assert ("note_called_through_apply" in notes) == (name == "Qwen-Image")
    assert runs.digest(models.clip.cond_stage_model.state_dict()) == before, "the user's encoders stay"

    generator = torch.Generator().manual_seed(0)
    x_t = torch.randn(2, *dataset.items[0].latents.shape[1:], generator=generator)
    t, texts = torch.tensor([0.9, 0.5]), ["a [v] robot on red stripes", "a robot on red stripes"]
    second = job("pure", recipe=PureLearning(), concept_by="input token")
    with runs.at_work(models, dataset, second, extractor, texts) as (branched, _), torch.no_grad():
        trained = branched.run(EXTRACTOR, x_t, t, texts)
    model, clip = applied(models, extractor)
    conds = [runs.encode(clip, text.replace("[v]", "embedding:ext")) for text in texts]
    for k, (one, other) in enumerate(zip(conds, conds[::-1], strict=True)):
        ours = velocities(model, x_t[k : k + 1], t[k : k + 1], one, other)[0]
        torch.testing.assert_close(ours, trained[k : k + 1], rtol=2e-3, atol=2e-3)
    bare = runs.encode(clip, "a robot on red stripes")
    assert float((velocities(model, x_t[:1], t[:1], bare)[0] - trained[:1]).abs().max()) > 1e-3
    assert comfy.model_management.in_training is False


@pytest.mark.parametrize("layer_wise", [False, True])
def test_auto(family, layer_wise):
    """A trained token for CLIP; for a language model a word, or a token that only holds the place of the vectors."""
    name, models, dataset = family
    out = runs.customise(models, dataset, job(layer_wise=layer_wise))
    adapter = out.adapter
    if name == "SDXL":
        assert adapter.tokens and adapter.metadata["modelspec.trigger_phrase"] == "embedding:ext robot"
    elif not layer_wise:
        assert not adapter.tokens and adapter.metadata["modelspec.trigger_phrase"] == "ext robot"
        assert adapter.metadata["purecc.carried_by"] == "trigger word" and not adapter.needs_apply
    else:
        frozen = runs.customise(models, dataset, job(embedding_lr=0.0)).adapter
        assert all(torch.equal(token, frozen.tokens[key]) for key, token in adapter.tokens.items())
        assert not torch.equal(adapter.layers, frozen.layers)


@pytest.mark.parametrize("family", ["Qwen-Image"], indirect=True)
def test_auto_goes_on_with_the_extractors_token(family):
    from purecc_pack.purecc.method.pure_learning import PureLearning

    _, models, dataset = family
    extractor = runs.customise(models, dataset, job(concept_by="input token", layer_wise=False)).adapter
    second = job("pure", recipe=PureLearning(), layer_wise=False)
    adapter = runs.customise(models, dataset, second, extractor=extractor).adapter
    assert torch.equal(adapter.tokens["qwen25_7b"], extractor.tokens["qwen25_7b"]), "without a copy to train it"
    word = job("pure", recipe=PureLearning(), layer_wise=False, concept_by="trigger word")
    assert not runs.customise(models, dataset, word, extractor=extractor).adapter.tokens


@pytest.mark.parametrize("family", ["SDXL"], indirect=True)
def test_a_trigger_word_with_clip(family):
    _, models, dataset = family
    quiet = runs.Quiet()
    adapter = runs.customise(models, dataset, job(concept_by="trigger word", layer_wise=False), quiet).adapter
    assert not adapter.tokens and [n.key for n in quiet.notes] == ["note_trigger_word"]
    with pytest.raises(ValueError, match=r"layer_wise.*trigger word"):
        runs.customise(models, dataset, job(concept_by="trigger word"))
    with pytest.raises(ValueError, match="concept_by is 'word'"):
        runs.customise(models, dataset, job(concept_by="word", layer_wise=False))
