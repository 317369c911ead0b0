"""The embedded base is a genuine SD3 stack: found by the host's detection, encoded by its stock text node."""

import pytest
import torch

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stack(comfyui):
    from purecc_pack.purecc.host.models.tiny import load_tiny_checkpoint

    return load_tiny_checkpoint()


@pytest.fixture(scope="module")
def fresh(comfyui):
    """A training model and an autoencoder with random weights."""
    from purecc_pack.tiny_world import host_model
    from purecc_pack.tiny_world.captions import all_captions

    model = host_model.TinyTextToVelocity(all_captions(), seed=1)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "adaLN" in name or "final_layer" in name:
                parameter.copy_(0.02 * torch.randn(parameter.shape, generator=generator))
    return model, host_model.build_autoencoder(seed=1)


@pytest.fixture(scope="module")
def exported(fresh, tmp_path_factory):
    from purecc_pack.purecc.host.models import tiny
    from purecc_pack.tiny_world import host_model

    path = tmp_path_factory.mktemp("weights") / "fresh.safetensors"
    host_model.export_checkpoint(path, *fresh, {})
    return tiny.load_tiny_checkpoint(path=path)


def encode(clip, text):
    import nodes

    ((context, extra),) = nodes.CLIPTextEncode().encode(clip, text)[0]
    return context, extra["pooled_output"]


def test_the_host_finds_an_sd3_model_with_a_16_channel_autoencoder(stack):
    import comfy.model_base

    model, _, vae = stack
    assert type(model.model) is comfy.model_base.SD3
    mmdit = model.model.diffusion_model
    assert len(mmdit.joint_blocks) == 3
    assert hasattr(mmdit.joint_blocks[0].x_block, "attn2") and hasattr(mmdit.joint_blocks[0].x_block.attn, "ln_q")
    assert vae.latent_channels == 16
    assert vae.encode(torch.rand(1, 96, 96, 3)).shape == (1, 16, 12, 12)


def test_the_file_is_small_enough():
    from purecc_pack.purecc.host.models.tiny import CHECKPOINT

    assert CHECKPOINT.stat().st_size <= 32e6


def test_the_host_can_copy_the_model(stack):
    model, _, _ = stack
    copy = model.clone(force_deepcopy=True)
    assert copy.model is not model.model
    for name, weight in model.model.diffusion_model.state_dict().items():
        assert torch.equal(weight, copy.model.diffusion_model.state_dict()[name]), name


def test_latents_have_the_scale_that_the_host_expects(stack):
    from random import Random

    from purecc_pack.tiny_world.renders import render
    from purecc_pack.tiny_world.scenes import sample_scene

    model, _, vae = stack
    rng = Random(77)
    latents = model.model.process_latent_in(vae.encode(render([sample_scene(rng) for _ in range(24)])))
    assert abs(latents.mean()) < 0.1
    assert abs(latents.std() - 1) < 0.1


def test_a_prompt_gives_one_window_and_a_long_one_several(stack):
    _, clip, _ = stack
    prompt = "a red robot on the left on red stripes in ink style"
    context, pooled = encode(clip, prompt)
    assert context.shape == (1, 32, 4096) and pooled.shape == (1, 1344)
    assert context[..., 64:].abs().max() == 0 and pooled[:, 64:].abs().max() == 0
    long, _ = encode(clip, ", ".join([prompt] * 3))
    assert long.shape == (1, 64, 4096)
    assert torch.equal(encode(clip, "")[0], encode(clip, "")[0])


def test_the_stock_text_node_gives_what_training_encodes(fresh, exported):
    model, _ = fresh
    for text in ("", "a red robot on the left on red stripes in ink style", "an umbrella"):
        context, pooled = encode(exported[1], text)
        with torch.no_grad():
            penultimate, last = model.encode([text])
        # The file is in half precision.
        torch.testing.assert_close(context[..., :64], penultimate, atol=5e-3, rtol=5e-3)
        torch.testing.assert_close(pooled[:, :64], last, atol=5e-3, rtol=5e-3)


def test_the_host_predicts_what_training_predicts(fresh, exported):
    model, _ = fresh
    text = "a blue fish on snow"
    xt = torch.randn(1, 16, 12, 12, generator=torch.Generator().manual_seed(3))
    t = torch.tensor([0.6])
    context, pooled = encode(exported[1], text)
    with torch.no_grad():
        velocity = model(xt, t, [text])
        denoised = exported[0].model.apply_model(xt, t, c_crossattn=context, y=pooled)
    assert velocity.abs().mean() > 0.02
    torch.testing.assert_close((xt - denoised) / 0.6, velocity, atol=1e-2, rtol=1e-2)


def test_gradients_reach_every_weight_that_matters(fresh):
    model, _ = fresh
    model.zero_grad()
    texts = ["a red car on snow", "a white boat in the middle on sand in ink style"]
    model(torch.randn(2, 16, 12, 12), torch.tensor([0.2, 0.9]), texts).square().mean().backward()
    # A shift of all keys changes no attention: its gradient is rounding.
    trained = {n: p.grad for n, p in model.named_parameters() if p.requires_grad and not n.endswith("k_proj.bias")}
    silent = [name for name, gradient in trained.items() if gradient is None or not gradient.abs().max() > 0]
    assert silent == ["mmdit.joint_blocks.2.context_block.attn.ln_q.weight"]  # the last block's text is not read


def test_a_missing_file_is_named(comfyui, tmp_path):
    from purecc_pack.purecc.host.models.tiny import load_tiny_checkpoint

    with pytest.raises(FileNotFoundError, match=r"nothing\.safetensors"):
        load_tiny_checkpoint(path=tmp_path / "nothing.safetensors")
