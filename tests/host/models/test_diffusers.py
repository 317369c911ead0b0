"""Exported LoRAs in diffusers' own classes: every layer finds its place, and SD3.5 predicts as in ComfyUI."""

# SPDX-License-Identifier: GPL-3.0-or-later

import genuine
import pytest
import runs
import torch
from loras import random_lora, targets_of
from safetensors.torch import load_file

pytestmark = pytest.mark.slow

HEADS = {"attention_head_dim": 128, "num_attention_heads": 1, "num_layers": 2}


def sd3():
    from diffusers import SD3Transformer2DModel

    return SD3Transformer2DModel(
        sample_size=16,
        num_layers=2,
        num_attention_heads=2,
        caption_projection_dim=128,
        pos_embed_max_size=16,
        dual_attention_layers=(0,),
        qk_norm="rms_norm",
    )


def flux():
    from diffusers import FluxTransformer2DModel

    return FluxTransformer2DModel(**HEADS, num_single_layers=2, joint_attention_dim=64, pooled_projection_dim=32)


def flux2():
    from diffusers import Flux2Transformer2DModel

    return Flux2Transformer2DModel(**HEADS, num_single_layers=2, joint_attention_dim=64)


def chroma():
    from diffusers import ChromaTransformer2DModel

    sizes = {"approximator_num_channels": 64, "approximator_hidden_dim": 64, "approximator_layers": 1}
    return ChromaTransformer2DModel(**HEADS, **sizes, num_single_layers=2, joint_attention_dim=64)


def qwen():
    from diffusers import QwenImageTransformer2DModel

    return QwenImageTransformer2DModel(**HEADS, joint_attention_dim=64)


def z_image():
    from diffusers import ZImageTransformer2DModel

    return ZImageTransformer2DModel(
        dim=384, n_layers=2, n_refiner_layers=1, n_heads=3, n_kv_heads=3, cap_feat_dim=64, axes_dims=[32, 48, 48]
    )


def unet():
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=768,
    )


CLASSES = {
    "SD1.5": (unet, "unet"),
    "SD3.5-medium": (sd3, "transformer"),
    "Flux.1-dev": (flux, "transformer"),
    "Flux.2-dev": (flux2, "transformer"),
    "Chroma": (chroma, "transformer"),
    "Qwen-Image": (qwen, "transformer"),
    "Z-Image": (z_image, "transformer"),
}


def exported(patcher, lora):
    from purecc_pack.purecc.host.models.layer_names import exported

    return exported(lora, patcher, "diffusers").tensors


@pytest.mark.parametrize("name", CLASSES)
def test_every_layer_finds_its_place(comfyui, name):
    from peft.tuners.lora import LoraLayer

    recipe = genuine.FAMILIES[name]()
    wider = {"dim": 384, "n_heads": 3, "n_kv_heads": 3} if name == "Z-Image" else {}  # else its MLPs differ in width
    patcher = genuine.patcher_of(genuine.direct(recipe["cls"], {**recipe["unet"], **wider}))
    tensors = exported(patcher, random_lora(targets_of(patcher, "attention and mlp")))
    make, prefix = CLASSES[name]
    network = make()
    network.load_lora_adapter(dict(tensors), prefix=prefix)
    layers = [m for m in network.modules() if isinstance(m, LoraLayer)]
    found = [weight for m in layers for pair in (m.lora_A, m.lora_B) for weight in (p.weight for p in pair.values())]
    assert len(found) == len(tensors)
    assert all(layer.scaling == {"default_0": 1.0} for layer in layers)
    given = sorted(float(tensor.double().sum()) for tensor in tensors.values())
    assert sorted(float(weight.double().sum()) for weight in found) == pytest.approx(given, abs=1e-6)


def weights_for(network, base):
    """The weights of ComfyUI's network under the names of diffusers' class, by ComfyUI's own map."""
    import comfy.utils

    names = comfy.utils.mmdit_to_diffusers(base.model_config.unet_config)
    ours, out = base.diffusion_model.state_dict(), {}
    for key in network.state_dict():
        target, rows, change = (
            (*names[key], None, None)[:3] if isinstance(names[key], tuple) else (names[key], None, None)
        )
        weight = ours[target]
        if rows is not None:
            weight = weight.narrow(*rows)
        out[key] = weight if change is None else change(weight)  # halves change places: its own inverse
    return out


@pytest.mark.parametrize("alpha", [2.0, 1.0])
def test_sd35_predicts_the_same_in_diffusers(comfyui, tmp_path, alpha):
    import comfy.sd

    from purecc_pack.purecc.adapters import files
    from purecc_pack.purecc.host.models import layer_names

    recipe, base = genuine.build("SD3.5-medium")
    patcher = genuine.patcher_of(base)
    lora = {k: v * 0.1 for k, v in random_lora(targets_of(patcher, "all blocks")).items() if not k.endswith("alpha")}
    lora |= {k.replace("lora_up.weight", "alpha"): torch.tensor(alpha) for k in lora if "lora_up" in k}
    adapter = files.Adapter("adapter", "rob", lora, {}, None, {})
    made = layer_names.exported(lora, patcher, "diffusers")
    path, _ = files.save(adapter, tmp_path / "loras", tmp_path / "embeddings", False, made)

    network = sd3()
    network.load_state_dict(weights_for(network, base))  # now: to predict, ComfyUI patches the weights in place
    generator = torch.Generator().manual_seed(7)
    x, t = torch.randn(1, *recipe["latent"], generator=generator), torch.tensor([0.4])
    cond = [[recipe["cond"]["cross_attn"], {"pooled_output": recipe["cond"]["pooled_output"]}]]
    adapted, _ = comfy.sd.load_lora_for_models(patcher, None, dict(lora), 1.0, 0.0)
    plain, expected = (runs.velocity(model, x, t, cond) for model in (patcher, adapted))

    given = {"encoder_hidden_states": cond[0][0], "pooled_projections": cond[0][1]["pooled_output"]}
    with torch.no_grad():
        assert (network(x, timestep=1000 * t, **given).sample - plain).abs().max() < 1e-4
        network.load_lora_adapter(load_file(path), prefix="transformer")
        found = network(x, timestep=1000 * t, **given).sample
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max().clamp(min=1)
    assert (expected - plain).abs().max() > 1e-2
