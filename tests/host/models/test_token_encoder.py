"""Gradients to trained tokens, and the memory they take, against the host's own code."""

import pytest
import torch
from triple_clip import ROUNDING, TEXTS, conditioner

pytestmark = pytest.mark.slow


def test_gradients_reach_both_tokens(world, clip, vectors):
    speak, embedding, _ = conditioner(world, clip, vectors)
    y = speak(["a [v] robot on red stripes"])[0]
    probe = torch.randn(y.context.shape, generator=torch.Generator().manual_seed(0))
    loss = (y.context * probe).sum() + y.fields[0]["pooled_output"].sum()
    grads = torch.autograd.grad(loss, list(embedding.tokens.values()))
    assert set(embedding.tokens) == {"clip_l", "clip_g"}
    for (name, token), gradient in zip(embedding.tokens.items(), grads, strict=True):
        index = int(gradient.abs().argmax())
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                token[0, index] += sign * 1e-2
                z = speak(["a [v] robot on red stripes"])[0]
                values.append(float((z.context * probe).double().sum() + z.fields[0]["pooled_output"].double().sum()))
                token[0, index] -= sign * 1e-2
        assert (values[0] - values[1]) / 2e-2 == pytest.approx(float(gradient[0, index]), rel=2e-2), name


def plainly(model, tokens, vectors):
    """(text stream, pooled) of a text as the host's own code has them, with gradients: nothing batched or repeated."""
    from purecc_pack.purecc.host.families.sd3 import SD3
    from purecc_pack.purecc.host.models import embeddings

    tokens = {key: [list(window) for window in windows] for key, windows in tokens.items()}
    for name, rows in vectors.items():
        encoder = SD3.text.encoders[name]
        for window, place, _ in list(embeddings.positions(tokens, encoder)):
            tokens[encoder.key][window][place] = (rows[0], 1.0)
    # The host's layers add in place, which would spoil what backward needs.
    with torch.autograd.graph.saved_tensors_hooks(lambda saved: saved.clone(), lambda saved: saved):
        return model.encode_token_weights(tokens)[:2]


@pytest.mark.parametrize("without", [(), ("clip_l",), ("clip_g",)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_velocities_and_gradients_are_those_of_the_hosts_own_code(world, clip, vectors, without, dtype):
    """For texts of one and of two windows in one batch, with weights that are cast, and with either encoder absent."""
    from purecc_pack.purecc.host.models import conditioning, copies

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
    from purecc_pack.purecc.host.models import conditioning, copies
    from purecc_pack.purecc.training.live_bytes import LiveBytes

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


@pytest.mark.parametrize("stored", [torch.float32, torch.float16])
def test_products_in_bfloat16_are_near_those_in_float32(world, clip, vectors, stored):
    """The weights of products alone are held in it, and nothing of the user's."""
    from purecc_pack.purecc.host.models import conditioning, copies

    _, embedding, cache = conditioner(world, clip, vectors)
    texts = [cache.tokens(text) for text in TEXTS[:3]]
    private = world.enter_context(copies.private_copy(clip.patcher, without=("t5xxl",)))
    private.model.to(stored)
    encoder, said = conditioning.TokenEncoder(private, clip), []
    for dtype in (torch.float32, torch.bfloat16):
        if dtype != torch.float32:
            encoder.multiply_in(dtype)
        out = encoder.encode(texts, embedding.tokens)
        generator = torch.Generator().manual_seed(0)
        loss = sum((x * torch.randn(x.shape, generator=generator)).sum() for one in out for x in one)
        gradients = torch.autograd.grad(loss, list(embedding.tokens.values()))
        said.append(([x.detach() for one in out for x in one], gradients))
    (exact, expected), (near, found) = said
    for theirs, ours in zip(exact, near, strict=True):
        assert ours.dtype == torch.float32
        assert 1e-5 < float((ours - theirs).norm() / theirs.norm()) < 0.02
    for theirs, ours in zip(expected, found, strict=True):
        assert float(torch.nn.functional.cosine_similarity(theirs, ours)) > 0.999
    for name, weight in encoder.model.named_parameters():
        product = any(part in name for part in ("self_attn", "mlp", "text_projection"))
        assert weight.dtype == (torch.bfloat16 if product else stored), name
    theirs = clip.cond_stage_model.named_parameters()
    assert {weight.dtype for name, weight in theirs if not name.startswith("t5xxl")} == {torch.float32}


def test_t5_is_neither_copied_nor_needed(world, clip, vectors):
    from purecc_pack.purecc.host.models import conditioning

    with conditioning.token_encoder(clip) as encoder:
        assert encoder.model.t5xxl is None and encoder.model.clip_g is not None
        assert clip.cond_stage_model.t5xxl is not None
        assert sum(p.numel() for p in encoder.model.parameters()) < 30_000_000
        assert not any(p.is_inference() or p.requires_grad for p in encoder.model.parameters())
