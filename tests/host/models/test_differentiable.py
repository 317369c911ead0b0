"""Operators of the host that have no backward pass, and those that stand in for them."""

import genuine
import pytest
import torch


@pytest.fixture
def chunked(comfyui, monkeypatch):
    """The host's attention for the CPU on a machine with little free memory: it computes keys in chunks, in place."""
    from comfy import model_management
    from comfy.ldm.modules import attention
    from comfy.ldm.modules.diffusionmodules import mmdit

    monkeypatch.setattr(mmdit, "optimized_attention", attention.attention_sub_quad)
    monkeypatch.setattr(model_management, "get_free_memory", lambda *_: (1 << 20, 1 << 20))


@pytest.mark.usefixtures("chunked")
@pytest.mark.parametrize("side", [8, 72])
def test_training_has_an_attention_with_a_backward_pass(side, monkeypatch):
    """At 72 x 72 latents, 1296 tokens and the text's, the host's own has none on such a machine."""
    from comfy.ldm.modules import attention
    from comfy.ldm.modules.diffusionmodules import mmdit

    from purecc_pack.purecc.host.models import field as fields
    from purecc_pack.purecc.host.models.copies import trainable_world
    from purecc_pack.purecc.network.field import Conditioning

    recipe, base = genuine.build("SD3.5-medium")
    base.diffusion_model.pos_embed = None  # computed for any size
    given = dict(recipe["cond"])
    context = given.pop("cross_attn").requires_grad_()
    y = Conditioning(context, torch.zeros(context.shape[:2], dtype=torch.bool), (given,))
    x_t, t = torch.randn(1, 16, side, side), torch.tensor([0.5])
    with trainable_world():
        field = fields.HostField(genuine.patcher_of(base))
        field.velocity(x_t, t, y).square().mean().backward()
        assert context.grad.any() and context.grad.isfinite().all()
        if side == 72:
            monkeypatch.setattr(fields, "attention_options", dict)
            monkeypatch.setattr(mmdit, "optimized_attention", attention.attention_sub_quad)
            with pytest.raises(RuntimeError, match="automatic differentiation"):
                field.velocity(x_t, t, y)


@pytest.mark.parametrize(("name", "side"), [("HunyuanDiT", 72), ("PixArt-Sigma", 72), ("Ernie-Image", 36)])
def test_networks_that_keep_their_options_from_attention_have_one_too(comfyui, name, side, monkeypatch):
    """At 1296 tokens; with the host's own attention, which they are given outside, there is no backward pass."""
    from comfy import model_management
    from comfy.ldm.modules import attention

    from purecc_pack.purecc.host.models.copies import trainable_world
    from purecc_pack.purecc.host.models.differentiable import _attentions
    from purecc_pack.purecc.host.models.field import HostField
    from purecc_pack.purecc.network.field import Conditioning

    recipe, base = genuine.build(name)
    held = [
        (module, held)
        for module, held in _attentions()
        if module.__name__.startswith(type(base.diffusion_model).__module__.rpartition(".")[0])
    ]
    for module, attribute in held:
        monkeypatch.setattr(module, attribute, attention.attention_sub_quad)
    monkeypatch.setattr(model_management, "get_free_memory", lambda *_: (1 << 20, 1 << 20))
    given = dict(recipe["cond"])
    context = given.pop("cross_attn").requires_grad_()
    y = Conditioning(context, torch.zeros(context.shape[:2], dtype=torch.bool), (given,))
    x_t, t = torch.randn(1, recipe["latent"][0], side, side), torch.tensor([0.5])
    field = HostField(genuine.patcher_of(base))
    with trainable_world():
        field.velocity(x_t, t, y).square().mean().backward()
        assert context.grad.any() and context.grad.isfinite().all()
        for module, attribute in held:
            monkeypatch.setattr(module, attribute, attention.attention_sub_quad)
        with pytest.raises(RuntimeError, match="automatic differentiation"):
            field.velocity(x_t, t, y)


def test_the_host_has_its_attention_back(comfyui):
    from purecc_pack.purecc.host.models.copies import trainable_world
    from purecc_pack.purecc.host.models.differentiable import _attentions

    own = {(module.__name__, name): getattr(module, name) for module, name in _attentions()}
    assert len(own) > 10
    with pytest.raises(KeyError), trainable_world():
        assert all(getattr(module, name) is not own[module.__name__, name] for module, name in _attentions())
        raise KeyError
    assert all(getattr(module, name) is own[module.__name__, name] for module, name in _attentions())


def test_samples_are_decoded_with_the_host_s_own_attention(comfyui, monkeypatch):
    from comfy.ldm.pixart import blocks

    from purecc_pack.purecc.host.models.copies import trainable_world

    asked = []
    monkeypatch.setattr(blocks, "optimized_attention", lambda *given, **named: asked.append(named))
    with trainable_world():
        blocks.optimized_attention(1, 2, 3, mask=None)
        with torch.inference_mode():
            blocks.optimized_attention(1, 2, 3, mask=None)
    training, decoding = asked
    assert decoding == {"mask": None}
    assert list(training["transformer_options"]) == ["optimized_attention_override"]


def test_the_host_has_its_rotary_operators_back(comfyui):
    import comfy_kitchen

    from purecc_pack.purecc.host.models.copies import trainable_world
    from purecc_pack.purecc.host.models.differentiable import ROTARY

    own = {name: getattr(comfy_kitchen, name) for name in ROTARY}
    assert own
    with pytest.raises(KeyError), trainable_world():
        assert all(getattr(comfy_kitchen, name) is not operator for name, operator in own.items())
        raise KeyError
    assert all(getattr(comfy_kitchen, name) is operator for name, operator in own.items())
