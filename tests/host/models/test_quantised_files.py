"""Files of quantised weights, as the stock loader reads them: they train from a second reading of the file."""

from dataclasses import replace

import pytest
import runs
import torch
from safetensors.torch import save_file

pytestmark = pytest.mark.slow

MODEL = "SD3.5-medium"
"""Whose file the stock loader recognises even where it is tiny."""


def legacy(weight):
    """fp8 with a scale, as files had it before they named the format of each layer."""
    scale = weight.abs().max() / 448
    packed = (weight / scale).to(torch.float8_e4m3fn)
    return {".weight": packed, ".scale_weight": scale.reshape(())}, packed.float() * scale


def files(tmp_path, kind):
    """A model, and the paths of a quantised file and of one with the weights dequantised."""
    import genuine
    import quantised

    _, base = genuine.build(MODEL)
    packed, plain = {}, {}
    for key, weight in base.diffusion_model.state_dict().items():
        path = key.removesuffix(".weight")
        if "joint_blocks" in key and path != key and weight.ndim == 2 and weight.shape[1] % quantised.GROUP == 0:
            tensors, plain[key] = legacy(weight) if kind == "legacy" else quantised.quantised(weight, kind)
            packed |= {path + end: tensor for end, tensor in tensors.items()}
        else:
            packed[key] = plain[key] = weight
    if kind == "legacy":
        packed["scaled_fp8"] = torch.zeros(2, dtype=torch.float8_e4m3fn)
    paths = [tmp_path / "packed.safetensors", tmp_path / "plain.safetensors"]
    for path, tensors in zip(paths, (packed, plain), strict=True):
        save_file({k: t.contiguous().clone() for k, t in tensors.items()}, path)
    return base, paths


@pytest.mark.parametrize("kind", ["legacy", "nvfp4"])
def test_a_file_trains_like_its_dequantised_weights(comfyui, tmp_path, kind):
    import comfy.sd
    import quantised
    from comfy.quant_ops import QuantizedTensor

    from purecc_pack.purecc.network.lora import LoraSpec

    torch.set_num_threads(1)
    base, paths = files(tmp_path, kind)
    models, dataset = quantised.given(MODEL, base)
    found = []
    for path in paths:
        with torch.inference_mode():
            model = comfy.sd.load_diffusion_model(str(path))
        packed = [p for p in model.model.parameters() if isinstance(p, QuantizedTensor)]
        assert bool(packed) == (path is paths[0]) and model.cached_patcher_init is not None
        before = runs.digest(model.model.state_dict())
        job = runs.job("zorp", layer_wise=False, steps=2, lora=LoraSpec(2, 2.0, "attention"), lr=3e-2)
        found.append(runs.customise(replace(models, model=model), dataset, job))
        assert runs.digest(model.model.state_dict()) == before
    assert found[0].history.losses == pytest.approx(found[1].history.losses, rel=1e-5)
    for key, weight in found[1].adapter.lora.items():
        torch.testing.assert_close(found[0].adapter.lora[key], weight, rtol=1e-5, atol=1e-6)
