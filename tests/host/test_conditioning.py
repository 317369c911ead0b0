"""What the trainer encodes against what a stock prompt encodes, with CLIP-L, CLIP-G and T5 as SD3.5 has them."""

from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest
import runs
import standin
import torch

TEXTS = (
    "a [v] robot on red stripes",
    'a picture, "[v] robot" (small), no.',
    "a tall tree " * 30 + "and a [v] robot",
    "(a [v] robot): left",
    "a robot",
    "",
)
G_WIDTH = 96


def triple_clip(folder=None, seed=0):
    """The host's SD3 text encoder, all three parts genuine and small; T5 is as wide as the text stream."""
    import comfy.sd
    import folder_paths
    from comfy.supported_models_base import ClipTarget
    from comfy.text_encoders.sd3_clip import SD3Tokenizer, sd3_clip

    options = {
        "clip_l_model_config": dict(standin.SMALL_CLIP),
        "clip_g_model_config": {**standin.SMALL_CLIP, "hidden_size": G_WIDTH},
        "t5xxl_model_config": {"d_ff": 32, "d_kv": 16, "num_heads": 2, "num_layers": 1, "d_model": 4096},
    }
    target = ClipTarget(SD3Tokenizer, sd3_clip(clip_l=True, clip_g=True, t5=True, dtype_t5=torch.bfloat16))
    folders = [str(folder)] if folder else folder_paths.get_folder_paths("embeddings")
    clip = comfy.sd.CLIP(target, embedding_directory=folders, model_options={**options, "dtype": torch.float32})
    model = clip.cond_stage_model
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name != "t5xxl.transformer.shared.weight":
                weights = standin._fill(torch.nn.ParameterDict({"weight": weight.float()}), generator)["weight"]
                weight.copy_(0.1 * weights if name.startswith("t5xxl") and weight.ndim > 1 else weights)
        # 131 million numbers, of which a few rows are looked up.
        table = model.t5xxl.transformer.shared.weight
        table.zero_()
        used = {int(t) for text in TEXTS for chunk in clip.tokenize(text)["t5xxl"] for t, _ in chunk}
        for row in used:
            table[row] = torch.randn(4096, generator=torch.Generator().manual_seed(row)).to(table.dtype)
    return clip


@pytest.fixture(scope="module")
def clip(comfyui):
    with torch.inference_mode():
        return triple_clip()


@pytest.fixture(scope="module")
def vectors(clip):
    from purecc_pack.purecc.host.embeddings import word_vectors

    with torch.inference_mode():
        return {k: v + 0.01 for k, v in word_vectors(clip, "robot").items()}


@pytest.fixture
def stock(clip, tmp_path):
    """Encodes a stock prompt with `embedding:NAME` from a file that Save Adapter wrote."""
    from purecc_pack.purecc import files

    def encode(text, tokens, clip=clip):
        lora = {"lora_up.weight": torch.zeros(4, 1), "lora_down.weight": torch.zeros(1, 4)}
        lora = {f"diffusion_model.x.{k}": v for k, v in lora.items()}
        layers = torch.ones(2, 4096)  # a width that T5 would take
        adapter = files.Adapter("adapter", "thing", lora, tokens, layers, {})
        files.save(adapter, tmp_path / "loras", tmp_path / "embeddings", overwrite=True)
        own = clip.clone()
        from purecc_pack.purecc.host import embeddings

        own.tokenizer = embeddings.with_directory(clip, tmp_path / "embeddings").tokenizer
        prompt = text.replace("(", r"\(").replace(")", r"\)")
        prompt = " ".join(prompt.replace("[v]", " embedding:thing ").split())
        with torch.inference_mode():
            tokens = own.tokenize(prompt)
            return tokens, own.encode_from_tokens(tokens, return_pooled=True, return_dict=True)

    return encode


def conditioner(stack, clip, vectors, texts=TEXTS):
    """(conditioner, embedding, cache) as a run with a trained token has them just before its first step."""
    from comfy import model_management

    from purecc_pack.purecc.concept import ConceptEmbedding
    from purecc_pack.purecc.host import conditioning

    cache = conditioning.PromptCache(clip, "thing", vectors, torch.device("cpu"))
    stack.callback(cache.close)
    cache.prepare(texts)
    model_management.unload_all_models()
    encoder = stack.enter_context(conditioning.token_encoder(clip))
    cache.close()
    embedding = ConceptEmbedding(vectors)
    return conditioning.HostConditioner(cache, embedding, encoder), embedding, cache


@pytest.fixture
def world():
    """An exit stack in the world that training needs."""
    from contextlib import ExitStack

    from purecc_pack.purecc.host.copies import trainable_world

    with trainable_world(), ExitStack() as stack:
        yield stack


def same(ours, theirs, **tolerance):
    """Bit for bit, unless a tolerance is given."""
    for ours_, theirs_ in ((ours.context, theirs["cond"]), (ours.fields["pooled_output"], theirs["pooled_output"])):
        torch.testing.assert_close(ours_.detach(), theirs_, **(tolerance or {"rtol": 0, "atol": 0}))


ROUNDING = {"rtol": 1e-5, "atol": 1e-5}
"""Of matrix products whose rows are many or few."""


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


def test_gradients_reach_both_tokens(world, clip, vectors):
    speak, embedding, _ = conditioner(world, clip, vectors)
    y = speak(["a [v] robot on red stripes"])[0]
    probe = torch.randn(y.context.shape, generator=torch.Generator().manual_seed(0))
    loss = (y.context * probe).sum() + y.fields["pooled_output"].sum()
    grads = torch.autograd.grad(loss, list(embedding.tokens.values()))
    assert set(embedding.tokens) == {"clip_l", "clip_g"}
    for (name, token), gradient in zip(embedding.tokens.items(), grads, strict=True):
        index = int(gradient.abs().argmax())
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                token[0, index] += sign * 1e-2
                z = speak(["a [v] robot on red stripes"])[0]
                values.append(float((z.context * probe).double().sum() + z.fields["pooled_output"].double().sum()))
                token[0, index] -= sign * 1e-2
        assert (values[0] - values[1]) / 2e-2 == pytest.approx(float(gradient[0, index]), rel=2e-2), name


def plainly(model, tokens, vectors):
    """(text stream, pooled) of a text as the host's own code has them, with gradients: nothing batched or repeated."""
    from purecc_pack.purecc.host import embeddings

    tokens = {key: [list(window) for window in windows] for key, windows in tokens.items()}
    for name, rows in vectors.items():
        for window, place, _ in list(embeddings.positions(tokens, name)):
            tokens[embeddings.ENCODERS[name]][window][place] = (rows[0], 1.0)
    # The host's layers add in place, which would spoil what backward needs.
    with torch.autograd.graph.saved_tensors_hooks(lambda saved: saved.clone(), lambda saved: saved):
        return model.encode_token_weights(tokens)[:2]


@pytest.mark.parametrize("without", [(), ("clip_l",), ("clip_g",)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_velocities_and_gradients_are_those_of_the_hosts_own_code(world, clip, vectors, without, dtype):
    """For texts of one and of two windows in one batch, with weights that are cast, and with either encoder absent."""
    from purecc_pack.purecc.host import conditioning, copies

    _, embedding, cache = conditioner(world, clip, vectors)
    for name in without:
        del embedding.tokens[name]
    texts = [cache.tokens(text) for text in TEXTS[:4]]
    said = []
    for plain in (True, False):
        private = world.enter_context(copies.private_copy(clip.patcher, without=("t5xxl", *without)))
        model = private.model.to(dtype)
        if plain:
            model.reset_clip_options()
            out = [plainly(model, tokens, embedding.tokens) for tokens in texts]
        else:
            out = conditioning.TokenEncoder(private, clip).encode(texts, embedding.tokens)
        generator = torch.Generator().manual_seed(0)
        loss = sum((x * torch.randn(x.shape, generator=generator)).sum() for one in out for x in one)
        said.append((out, torch.autograd.grad(loss, list(embedding.tokens.values()))))
    (theirs, expected), (ours, found) = said
    for (stream, pooled), (their_stream, their_pooled) in zip(ours, theirs, strict=True):
        torch.testing.assert_close(stream, their_stream, **ROUNDING)
        torch.testing.assert_close(pooled, their_pooled, **ROUNDING)
    for gradient, their_gradient in zip(found, expected, strict=True):
        assert float((gradient - their_gradient).norm() / their_gradient.norm()) < 1e-5
        assert float(their_gradient.norm()) > 1


def test_what_is_kept_for_backward_is_each_layers_input(world, clip, vectors):
    """Neither cast weights nor what is inside a layer, of which the host's own code keeps the more the more texts."""
    from purecc_pack.purecc.host import conditioning, copies
    from purecc_pack.purecc.live_bytes import LiveBytes

    _, embedding, cache = conditioner(world, clip, vectors)
    private = world.enter_context(copies.private_copy(clip.patcher, without=("t5xxl",)))
    model = private.model.half()
    model.reset_clip_options()
    texts = [cache.tokens(text) for text in (TEXTS[0], TEXTS[1], TEXTS[3])]

    def kept(encode, *args):
        with LiveBytes() as live:
            out = encode(*args)
            graph = [tensor.sum() for one in out for tensor in one]  # holds what is kept, and not the result
            del out
            return live.live, graph

    def one_by_one(some):
        return [plainly(model, tokens, embedding.tokens) for tokens in some]

    plain = [kept(one_by_one, texts[:n])[0] for n in (1, 2, 3)]
    encoder = conditioning.TokenEncoder(private, clip)
    ours = [kept(encoder.encode, texts[:n], embedding.tokens)[0] for n in (1, 2, 3)]
    inputs = 0
    for name, rows in vectors.items():
        inputs += 77 * rows.shape[1] * 4 * len(getattr(model, name).transformer.text_model.encoder.layers)
    assert inputs < ours[1] - ours[0] < 2 * inputs, "a text adds the inputs, and little of what is outside the layers"
    assert ours[2] - ours[1] == pytest.approx(ours[1] - ours[0], rel=0.01)
    assert plain[1] - plain[0] > 5 * (ours[1] - ours[0]) and plain[2] > 5 * ours[2]


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


def test_t5_is_neither_copied_nor_needed(world, clip, vectors):
    from purecc_pack.purecc.host import conditioning

    with conditioning.token_encoder(clip) as encoder:
        assert encoder.model.t5xxl is None and encoder.model.clip_g is not None
        assert clip.cond_stage_model.t5xxl is not None
        assert sum(p.numel() for p in encoder.model.parameters()) < 30_000_000
        assert not any(p.is_inference() or p.requires_grad for p in encoder.model.parameters())


def test_words_are_the_mean_of_their_tokens_without_start_and_end(clip):
    """CLIP-G pads with zeros after the end, CLIP-L with the end itself."""
    from purecc_pack.purecc.host.embeddings import word_vectors

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

    from purecc_pack.purecc.recipes import PureLearning

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
