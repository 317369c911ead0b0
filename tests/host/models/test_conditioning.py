"""What the trainer encodes against what a stock prompt encodes, with CLIP-L, CLIP-G and T5 as SD3.5 has them."""

from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest
import runs
import torch
from triple_clip import G_WIDTH, ROUNDING, TEXTS, conditioner, same

pytestmark = pytest.mark.slow


def test_training_starts_from_the_stock_conditioning_bit_for_bit(world, clip, vectors, stock):
    """As one text; in a batch with others, to rounding."""
    speak, _, _ = conditioner(world, clip, vectors)
    for text, together in zip(TEXTS, speak(TEXTS), strict=True):
        _, theirs = stock(text, vectors)
        same(speak([text])[0], theirs)
        same(together, theirs, **ROUNDING)
        assert together.context.requires_grad is ("[v]" in text)
    assert speak(TEXTS)[2].context.shape[1] > 2 * 77, "two windows of CLIP, then T5"


def test_a_moved_token_moves_clip_and_not_t5(world, clip, vectors, stock):
    speak, embedding, _ = conditioner(world, clip, vectors)
    before = [y.context.detach().clone() for y in speak(TEXTS)]
    with torch.no_grad():
        for token in embedding.tokens.values():
            token += 0.1 * torch.randn(token.shape, generator=torch.Generator().manual_seed(1))
    for text, old, ours in zip(TEXTS, before, speak(TEXTS), strict=True):
        _, theirs = stock(text, embedding.export()[0])
        same(ours, theirs, **ROUNDING)
        rows = 77 * len(clip.tokenize(text)["l"])
        assert torch.equal(ours.context[:, rows:], old[:, rows:])
        assert torch.equal(ours.context[:, :rows], old[:, :rows]) is ("[v]" not in text)
    from comfy import model_management

    model_management.unload_all_models()


@pytest.mark.parametrize("text", TEXTS[:4])
def test_the_tokens_of_every_encoder_are_those_of_the_stock_prompt(world, clip, vectors, stock, text):
    """And they are the words around [v], at weight 1, with one vector between."""
    _, _, cache = conditioner(world, clip, vectors)
    ours, (theirs, _) = cache.tokens(text), stock(text, vectors)
    before, after = text.split("[v]")
    for key in ("l", "g", "t5xxl"):
        plain = [[t for t, _ in chain(*clip.tokenize(part, disable_weights=True)[key])] for part in (before, after)]
        end = 1 if key == "t5xxl" else 49407
        special = {0, end, 49406} if key != "t5xxl" else {0, end}
        words = [[t for t in part if t not in special] for part in plain]
        for tokens in (ours, theirs):
            flat = list(chain(*tokens[key]))
            assert all(weight == 1.0 for _, weight in flat)
            kept = [t for t, _ in flat if torch.is_tensor(t) or t not in special]
            at = [torch.is_tensor(t) for t in kept].index(True)
            assert (kept[:at], kept[at + 1 :]) == (words[0], words[1])
        pairs = zip(chain(*ours[key]), chain(*theirs[key]), strict=True)
        assert all(torch.equal(a, b) if torch.is_tensor(a) else a == b for (a, _), (b, _) in pairs)


def test_the_concept_is_marked_where_its_vector_stands(world, clip, vectors):
    _, _, cache = conditioner(world, clip, vectors)
    marked = [cache[text].marks.nonzero()[:, 1].tolist() for text in TEXTS]
    # The start, then a token a word or sign; in the third text 91 tokens stand before, 75 of them in the first window.
    assert marked == [[2], [5], [77 + 1 + 92 - 75], [3], [], []]


@pytest.mark.parametrize("layer", [-1, -3])
def test_clip_skip_is_honoured(world, clip, vectors, stock, layer):
    skipping = clip.clone()
    skipping.clip_layer(layer)
    speak, _, _ = conditioner(world, skipping, vectors)
    ours = speak(TEXTS[:1])[0]
    same(ours, stock(TEXTS[0], vectors, skipping)[1])
    assert not torch.equal(ours.context, stock(TEXTS[0], vectors)[1]["cond"])


def test_a_lora_on_the_users_clip_is_in_training_too(world, clip, vectors, stock):
    import comfy.sd

    lora = {}
    for encoder, width in (("te1", 64), ("te2", G_WIDTH)):
        key = f"lora_{encoder}_text_model_encoder_layers_0_self_attn_q_proj"
        lora[f"{key}.lora_up.weight"] = 0.3 * torch.randn(width, 2, generator=torch.Generator().manual_seed(1))
        lora[f"{key}.lora_down.weight"] = torch.randn(2, width, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        _, patched = comfy.sd.load_lora_for_models(None, clip, lora, 1.0, 1.0)
    assert len(patched.patcher.patches) == 2
    speak, _, _ = conditioner(world, patched, vectors)
    ours = speak(TEXTS[:1])[0]
    same(ours, stock(TEXTS[0], vectors, patched)[1])
    assert not torch.equal(ours.context, stock(TEXTS[0], vectors)[1]["cond"])


def test_words_are_the_mean_of_their_tokens_without_start_and_end(clip):
    """CLIP-G pads with zeros after the end, CLIP-L with the end itself."""
    from purecc_pack.purecc.host.models.embeddings import word_vectors

    ids = [int(t) for t, _ in clip.tokenize("teddy bear")["g"][0]]
    assert ids[3:5] == [49407, 0]
    with torch.inference_mode():
        vectors = word_vectors(clip, "teddy bear")
    for name, vector in vectors.items():
        table = getattr(clip.cond_stage_model, name).transformer.get_input_embeddings().weight
        torch.testing.assert_close(vector[0], table[ids[1:3]].float().mean(0), msg=name)


def test_a_text_that_was_not_prepared_is_an_error_of_the_program(world, clip, vectors):
    speak, _, _ = conditioner(world, clip, vectors)
    with pytest.raises(RuntimeError, match="'another' was not prepared"):
        speak(["another"])


def test_both_stages_with_three_encoders(clip, models, dataset):
    """SD3.5's kind of CLIP through whole runs: tokens for L and G are trained, the user's encoders stay."""
    import comfy.ops
    from comfy import model_management

    from purecc_pack.purecc.method.pure_learning import PureLearning

    path = Path(models.model.cached_patcher_init[1][0])
    wide = runs.load(path, reload=False)
    network = wide.model.model.diffusion_model
    generator = torch.Generator().manual_seed(4)
    projection = comfy.ops.disable_weight_init.Linear(64 + G_WIDTH, network.y_embedder.mlp[0].out_features)
    with torch.no_grad():
        projection.weight.copy_(0.1 * torch.randn(projection.weight.shape, generator=generator))
        projection.bias.zero_()
    network.y_embedder.mlp[0] = projection
    both = replace(wide, clip=clip)
    model_management.unload_all_models()
    small = {
        k: v for k, v in clip.cond_stage_model.state_dict().items() if not k.startswith("t5xxl.transformer.shared")
    }
    before = runs.digest(small)
    extractor = runs.customise(both, dataset, runs.job("ext", kind="extractor", steps=2)).adapter
    adapter = runs.customise(both, dataset, runs.job("pure", PureLearning(), steps=2), extractor=extractor).adapter
    assert {k: tuple(v.shape) for k, v in adapter.tokens.items()} == {"clip_l": (1, 64), "clip_g": (1, G_WIDTH)}
    assert all(not torch.equal(adapter.tokens[k], extractor.tokens[k]) for k in adapter.tokens)
    model_management.unload_all_models()
    assert runs.digest({k: v for k, v in clip.cond_stage_model.state_dict().items() if k in small}) == before
