"""Drift of a customised model against its base, with small real models."""

import itertools

import pytest
import runs
import torch
from drawn import PROMPTS, Told, draw, drift

pytestmark = pytest.mark.slow


def test_drift_is_the_ratio_of_squares_over_the_base_s_trajectories(models, customised):
    """Written out: Euler with guidance 4 from the noise of seed 0, velocities by the host's own sampling path."""
    prompts, steps = ["a red car", "a bowl of fruit"], 2
    told = Told()
    made = drift(models, customised, prompts, told, steps=steps)
    assert told.parts == (3 * steps - 1) * len(prompts)
    noise = torch.randn(len(prompts), 16, 8, 8, generator=torch.Generator().manual_seed(0))
    even = torch.linspace(1, 0, steps + 1)
    times = 3 * even / (1 + 2 * even)
    above = below = 0.0
    for prompt, x in zip(prompts, noise.split(1), strict=True):
        conds = [runs.encode(models.clip, text) for text in (prompt, "")]
        other = runs.encode(customised[1], prompt)
        for now, then in itertools.pairwise(times):
            t = now.reshape(1)
            v, empty = runs.velocity(models.model, x, t, *conds).split(1)
            w = runs.velocity(customised[0], x, t, other)
            above += float((w - v).double().square().sum())
            below += float(v.double().square().sum())
            x = x + (then - now) * (empty + 4 * (v - empty))
    assert made == pytest.approx(above / below, rel=1e-4)
    assert made > 1e-4


def test_drift_of_an_adapter_is_what_its_training_measured(models, dataset):
    """Layer-wise vectors, LoRA and token together, through Apply Adapter, against the branch inside training."""
    from purecc_pack.purecc.host.models.apply import apply

    prompts = ("a red car", "a bowl of fruit (ripe)")
    outcome = runs.customise(models, dataset, runs.job("drifter", lr=3e-2, drift_every=3, drift_prompts=prompts))
    with torch.inference_mode():
        pair = apply(models.model, models.clip, outcome.adapter)
    (_, expected), *rest = outcome.history.drift
    assert not rest and expected > 1e-5
    assert drift(models, pair, prompts, steps=4) == pytest.approx(expected, rel=1e-3)


def test_a_model_has_no_drift_from_itself(models):
    assert drift(models, (models.model, models.clip), ["a red car"], steps=2) == 0.0


@pytest.fixture(scope="module")
def flux(models, comfyui):
    """A small Flux with random weights that takes the stand-in's texts, and the same with its weights moved."""
    import comfy.model_patcher
    import comfy.supported_models
    import standin

    sizes = {"in_channels": 16, "out_channels": 16, "patch_size": 2, "hidden_size": 64, "num_heads": 2, "depth": 1}
    sizes |= {"depth_single_blocks": 1, "mlp_ratio": 2.0, "axes_dim": [8, 12, 12], "theta": 10000, "qkv_bias": True}
    sizes |= {"image_model": "flux", "guidance_embed": False, "context_in_dim": 4096, "vec_in_dim": 1344}
    sizes |= {"txt_ids_dims": []}
    out = []
    for seed in (0, 1):
        config = comfy.supported_models.Flux(dict(sizes))
        config.set_inference_dtype(torch.float32, None)
        model = config.get_model({}, device="cpu")
        weights = standin._fill(model.diffusion_model, torch.Generator().manual_seed(seed))
        model.diffusion_model.load_state_dict(weights)
        model.eval()
        out.append(comfy.model_patcher.ModelPatcher(model, torch.device("cpu"), torch.device("cpu")))
    return out


def test_another_flow_model_is_drawn_with_and_has_a_drift(models, flux):
    base, moved = flux
    models = runs.Models(base, models.clip, models.vae)
    made = draw(models, (moved, models.clip), trigger="shiny", prompts=PROMPTS[:1], seeds=(5, 6))
    latent = runs.sample(
        moved, runs.encode(models.clip, "a shiny robot on a beach"), runs.encode(models.clip, ""), seed=6
    )
    with torch.inference_mode():
        stock = models.vae.decode(latent)[0].clamp(0, 1)
    torch.testing.assert_close(made.customised[0, 1], stock, rtol=0, atol=2e-3)
    assert drift(models, (base, models.clip), ["a red car"], steps=2) == 0.0
    assert drift(models, (moved, models.clip), ["a red car"], steps=2) > 0.1


def test_drift_refuses_what_has_none(models, encoders):
    import comfy.model_sampling

    with pytest.raises(ValueError, match="no prompts"):
        drift(models, (models.model, models.clip), ["", " "])
    with pytest.raises(ValueError, match=r"SAM3.*SD3"):
        drift(models, (encoders.segmenter, encoders.segmenter_clip), ["a car"])

    class Sampling(comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.X0):
        pass

    noise_model = models.model.clone()
    noise_model.add_object_patch("model_sampling", Sampling())
    with pytest.raises(ValueError, match=r"SD3.*no drift"):
        drift(models, (noise_model, models.clip), ["a car"])
