"""Drift of every kind of model: ε, v, zero SNR, EDM, flow, stills of videos, pixels; by their tiny genuine models."""

import copy
import itertools

import genuine
import pytest
import torch
from drawn import Told
from genuine.clip import Clip

pytestmark = pytest.mark.slow

PROMPTS = ["a red car", "a bowl of fruit"]
KINDS = ["SD1.5", "SDXL-vpred", "Playground2.5", "Cosmos-Predict2", "Wan2.1/2.2-A14B", "Chroma-Radiance"]


def moved(base):
    """The same network with its linear layers moved a little."""
    other = copy.copy(base)
    other._modules = {**base._modules, "diffusion_model": copy.deepcopy(base.diffusion_model)}
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for layer in other.diffusion_model.modules():
            if isinstance(layer, torch.nn.Linear):
                layer.weight += 0.02 * layer.weight.std() * torch.randn(layer.weight.shape, generator=generator)
    return other


def by_hand(recipe, models, size, steps, cfg=4.0):
    """Σ ‖v − v_base‖² / Σ ‖v_base‖², each prompt and point alone, x̂0 from the model's own `apply_model`."""
    base, other = models
    clip, sampling = Clip(recipe["cond"]), base.model_sampling
    flow = not hasattr(sampling, "log_sigmas")
    if flow:
        shift = getattr(sampling, "shift", 1.0)
        shift = torch.e**shift if type(sampling).__mro__[1].__name__ == "ModelSamplingFlux" else shift
        times = [shift * k / steps / (1 + (shift - 1) * k / steps) for k in range(steps, -1, -1)]
    else:
        index = torch.linspace(len(sampling.sigmas) - 1, 0, steps).round().long()
        times = [float(s / (1 + s)) for s in sampling.sigmas[index]] + [0.0]

    def velocity(model, x, t, text):
        ((context, fields),) = clip.encode_from_tokens_scheduled(text)
        named = {"width": size[0], "height": size[1], "prompt_type": "positive", **fields}
        conds = model.extra_conds(cross_attn=context.clone(), noise=x, device=x.device, **copy.deepcopy(named))
        given = {k: c.process_cond(batch_size=1, area=None).cond for k, c in conds.items()}
        scaled, sigma = (x, t) if flow else (x / (1 - t), t / (1 - t))
        return (x - model.apply_model(scaled, torch.tensor([sigma]), **given)).double() / t

    shape = [recipe["latent"][0], *recipe["latent"][1:-2], *(side // ratio(base) for side in reversed(size))]
    noise = torch.randn(len(PROMPTS), *shape, generator=torch.Generator().manual_seed(0))
    above = below = 0.0
    for prompt, one in zip(PROMPTS, noise.split(1), strict=True):
        x = times[0] * one
        for now, then in itertools.pairwise(times):
            v, empty, w = (velocity(m, x, now, text) for m, text in ((base, prompt), (base, ""), (other, prompt)))
            above, below = above + float((w - v).square().sum()), below + float(v.square().sum())
            x = x + (then - now) * (empty + cfg * (v - empty)).float()
    return above / below


def ratio(base):
    return base.latent_format.spacial_downscale_ratio


@pytest.mark.parametrize("name", KINDS)
def test_drift_of_a_kind_is_its_definition(comfyui, name):
    from purecc_pack.purecc.host.evaluation.drift import drift, has_drift
    from purecc_pack.purecc.host.models.host_models import HostModels

    recipe, base = genuine.build(name)
    other, clip = moved(base), Clip(recipe["cond"])
    size = tuple(max(64, side * ratio(base)) for side in reversed(recipe["latent"][-2:]))
    pairs = [HostModels(genuine.patcher_of(model), clip) for model in (base, other, base)]
    assert has_drift(pairs[0].model)
    with torch.inference_mode():
        far, same = drift(pairs[0], pairs[1:], PROMPTS, size, Told(), steps=2)
        assert same == 0.0
        assert far > 1e-5
        assert far == pytest.approx(by_hand(recipe, (base, other), size, 2), rel=2e-3)
