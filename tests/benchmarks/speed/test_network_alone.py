"""Other kinds of model: their shapes are those that the host knows, and both trainers run on them."""

import json
from dataclasses import replace

import pytest
import torch

pytestmark = pytest.mark.slow
KINDS = ("sdxl", "flux")


@pytest.mark.parametrize("name", KINDS)
def test_the_host_finds_the_kind_in_its_weights(comfyui, name):
    from comfy import model_detection
    from speed import network_alone

    kind = network_alone.KINDS[name]
    found = model_detection.model_config_from_unet(kind.weights(), "")
    assert type(found) is kind.config
    assert {key: found.unet_config[key] for key in kind.unet} == kind.unet


def test_operations_of_a_pass(comfyui):
    """SDXL's are published as 2.98 · 10¹² products and sums at 1024 × 1024, without those of q, k and v alone."""
    from speed import counting, network_alone

    attention = 4 * 1280 * 1024**2 * 60 + 4 * 640 * 4096**2 * 10  # at a quarter and at half of the latent's side
    found = counting.pass_flops(network_alone.SDXL, 1024, gradient=False) - attention
    assert found == pytest.approx(2 * 2.98e12, rel=0.02)
    for kind in network_alone.KINDS.values():
        forward, both = (counting.pass_flops(kind, 512, gradient=g) for g in (False, True))
        assert 1.9 * forward < both < 2.1 * forward, "the weights have no gradient"
    weights = sum(w.numel() for w in network_alone.SDXL.network().parameters())
    assert 2.5e9 < weights < 2.6e9


def test_rows_of_another_kind(comfyui, tmp_path, monkeypatch):
    from genuine.flux import FLUX
    from speed import network_alone, run

    torch.set_num_threads(1)
    unet = {**FLUX, "guidance_embed": True, "context_in_dim": 4096, "vec_in_dim": 768}
    small = replace(network_alone.FLUX_PART, unet=unet, dtype=torch.float32, pixels=(64,), pool=2)
    monkeypatch.setitem(run.KINDS, "flux", small)
    out = tmp_path / "rows.jsonl"
    given = ["--here", "--kind", "flux", "--folder", str(tmp_path), "--out", str(out)]
    run.main([*given, "--who", "ours", "--stages", "plain LoRA, all blocks", "anchored", "--settings", "fast"])
    run.main([*given, "--who", "TrainLoraNode", "--settings", "bypass"])
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [(r["stage"], r["setting"]) for r in rows] == [
        ("plain LoRA, all blocks", "fast"),
        ("anchored", "fast"),
        ("plain LoRA, all blocks", "bypass, checkpointed"),  # else PyTorch refuses: its blocks overwrite values
    ]
    assert all(r["size"] == small.name and r["seconds"] > 0 and r["tflop"] > 0 for r in rows)
