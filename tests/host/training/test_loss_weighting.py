"""The loss weighting that a job asks for is that of its steps."""

from dataclasses import replace

import genuine
import pytest
import runs
import torch
from genuine.clip import Clip

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "native"),
    [("SD1.5", lambda t: (1 - t) ** 2), ("SDXL-vpred", lambda t: (1 - t) ** 2 + t**2)],
)
def test_min_snr_weighs_every_velocity_of_a_step(dataset, name, native):
    """γ = 5: by min(SNR, 5) / SNR for ε and min(SNR, 5) / (SNR + 1) for v, with SNR = (1 - t)² / t²."""
    recipe, base = genuine.build(name)
    base.requires_grad_(False)
    models = runs.Models(genuine.patcher_of(base), Clip(recipe["cond"]), None)
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    small = replace(dataset, items=tuple(replace(i, latents=latents) for i in dataset.items))
    traces = []
    for weighting in ("native", "min-SNR"):
        job = runs.job(weighting=weighting, layer_wise=False, steps=1, batch=8, trace_steps=frozenset([1]))
        traces.append(runs.customise(models, small, job).traces[1])
    plain, weighed = traces
    assert torch.equal(plain["t"], weighed["t"]) and torch.equal(plain["x_t"], weighed["x_t"])
    t = plain["t"].double().view(-1, 1, 1, 1)
    snr = ((1 - t) / t) ** 2
    factor = snr.clamp_max(5.0) / (snr if name == "SD1.5" else snr + 1)
    assert (snr > 5).any() and (snr < 5).any()
    for key in ("target", "v.learner.complete"):
        # The root of the factor in v is that of the factor in the loss; the native weight cancels.
        torch.testing.assert_close(weighed[key].double(), factor.sqrt() * plain[key].double(), rtol=1e-4, atol=1e-6)
    clean = plain["target"].double() / native(t).sqrt()
    x_t = plain["x_t"].double()
    torch.testing.assert_close(x_t - t * clean, (x_t - t * clean)[:1].expand_as(x_t), rtol=1e-3, atol=1e-3)
