"""LoRAs of other programs as adapters and extractors: the change that the stock loader makes of the same file."""

# SPDX-License-Identifier: GPL-3.0-or-later

import genuine
import pytest
import torch
from loras import patched
from safetensors.torch import save_file


def pair(name, outputs, inputs, rank=2, seed=0, ends=(".lora_B.weight", ".lora_A.weight")):
    """The keys of one layer of a LoRA."""
    generator = torch.Generator().manual_seed(seed)
    shapes = ((outputs, rank), (rank, *([inputs] if isinstance(inputs, int) else inputs)))
    return {name + end: torch.randn(shape, generator=generator) for end, shape in zip(ends, shapes, strict=True)}


KOHYA = (".lora_up.weight", ".lora_down.weight")
CONV = "lora_unet_input_blocks_1_1_proj_in"
TEXT = "lora_te1_text_model_encoder_layers_0_self_attn_q_proj"


@pytest.fixture(scope="module")
def flux(comfyui):
    return genuine.patcher_of(genuine.build("Flux.1-dev")[1])


def imported(path, patcher, tensors, about=None):
    from purecc_pack.purecc.host.models.imports import import_lora

    save_file({k: v.contiguous() for k, v in tensors.items()}, path, about)
    return import_lora(path, patcher)


def assert_same_change(patcher, tensors, lora):
    expected, found = patched(patcher, tensors), patched(patcher, lora)
    assert found.keys() == expected.keys()
    for key in expected:
        torch.testing.assert_close(found[key], expected[key], rtol=1e-5, atol=1e-5)


def parts(prefix):
    """A Flux LoRA whose q, k and v of one layer were trained apart, as diffusers and ai-toolkit do."""
    out = {}
    for seed, part in enumerate(("to_q", "to_k", "to_v")):
        out |= pair(f"{prefix}transformer_blocks.0.attn.{part}", 128, 128, seed=seed)
    return out | pair(f"{prefix}transformer_blocks.1.ff.net.2", 128, 512, seed=9)


@pytest.mark.parametrize("prefix", ["transformer.", ""])
def test_q_k_and_v_are_joined_in_the_fused_layer(flux, tmp_path, prefix):
    tensors = parts(prefix)
    out = imported(tmp_path / "fl ux!.safetensors", flux, tensors, {"ss_output_name": "x", "sshs_model_hash": "1"})
    qkv = "diffusion_model.double_blocks.0.img_attn.qkv"
    assert out.adapter.lora[f"{qkv}.lora_down.weight"].shape == (6, 128)
    assert_same_change(flux, tensors, out.adapter.lora)
    assert_same_change(flux, tensors, out.extractor.lora)
    assert (out.adapter.kind, out.extractor.kind, out.adapter.name) == ("adapter", "extractor", "fl_ux_")
    assert {len(v) for k, v in out.extractor.lora.items() if k.endswith("lora_down.weight")} == {6}
    assert dict(out.adapter.metadata) == {"ss_output_name": "x"}
    assert "1 layers that the file adapts in parts have rank 6 here" in out.note


def test_names_of_lycoris_are_read(flux, tmp_path):
    tensors = pair("lycoris_transformer_blocks_0_attn_to_out_0", 128, 128, ends=KOHYA)
    tensors["lycoris_transformer_blocks_0_attn_to_out_0.alpha"] = torch.tensor(1.0)
    out = imported(tmp_path / "x.safetensors", flux, tensors)
    module = "diffusion_model.double_blocks.0.img_attn.proj"
    assert out.adapter.lora.keys() == {f"{module}.{end}" for end in ("lora_up.weight", "lora_down.weight", "alpha")}
    assert out.adapter.lora[f"{module}.alpha"] == 1.0


def test_what_diffusers_writes_of_a_unet_today_is_read(comfyui, tmp_path):
    patcher = genuine.patcher_of(genuine.build("SD1.5")[1])
    name = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0"
    out = imported(tmp_path / "x.safetensors", patcher, pair(name, 32, 32))
    module = "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_out.0"
    assert out.adapter.lora.keys() == {f"{module}.{end}" for end in ("lora_up.weight", "lora_down.weight", "alpha")}


def test_text_encoders_and_convolutions_are_carried(comfyui, tmp_path, clip):
    from purecc_pack.purecc.host.models.apply import apply

    patcher = genuine.patcher_of(genuine.build("SD1.5")[1])
    unet = pair(CONV, 32, (32, 1, 1), ends=KOHYA)
    width = clip.cond_stage_model.clip_l.transformer.get_input_embeddings().weight.shape[1]
    text = pair(TEXT, width, width, ends=KOHYA)
    out = imported(tmp_path / "x.safetensors", patcher, unet | text)
    assert_same_change(patcher, unet, out.adapter.lora)
    assert out.adapter.text_lora.keys() == text.keys()
    assert out.extractor is None and "input_blocks.1.1.proj_in" in out.note and "text encoder part" in out.note
    with torch.inference_mode():
        _, plain = apply(patcher, clip, out.adapter, strength=0.0)
        model, changed = apply(patcher, clip, out.adapter, strength=0.5)
    assert list(model.patches) == ["diffusion_model.input_blocks.1.1.proj_in.weight"]
    assert not plain.patcher.patches
    assert list(changed.patcher.patches) == ["clip_l.transformer.text_model.encoder.layers.0.self_attn.q_proj.weight"]
    other = {key.replace("layers_0", "layers_77"): tensor for key, tensor in text.items()}
    out = imported(tmp_path / "y.safetensors", patcher, unet | other)
    with pytest.raises(ValueError, match=r"changes 1 layers of text encoders .*layers_77"):
        apply(patcher, clip, out.adapter)


REFUSED = [
    ({"transformer.nothing": (8, 8)}, r"Flux\.1.*no layer of the model is called transformer\.nothing"),
    ({"transformer.transformer_blocks.0.attn.to_q": (128, 64)}, r"double_blocks\.0\.img_attn\.qkv is \(384, 64\)"),
    ({TEXT: (8, 8)}, "LoRA of the text encoders only"),
]


@pytest.mark.parametrize(("layers", "message"), REFUSED)
def test_what_does_not_fit_is_refused_by_name(flux, tmp_path, layers, message):
    from purecc_pack.purecc.adapters.files import AdapterFileError

    tensors = {key: tensor for name, shape in layers.items() for key, tensor in pair(name, *shape).items()}
    with pytest.raises(AdapterFileError, match=message):
        imported(tmp_path / "x.safetensors", flux, tensors)


@pytest.mark.parametrize("key", ["lokr_w1", "hada_w1_a", "dora_scale", "lora_mid.weight", "diff_b"])
def test_other_kinds_of_adapters_are_refused_by_name(flux, tmp_path, key):
    from purecc_pack.purecc.adapters.files import AdapterFileError

    tensors = parts("transformer.") | {f"transformer.transformer_blocks.0.attn.to_q.{key}": torch.ones(2, 2)}
    with pytest.raises(AdapterFileError, match=rf"to_q\.{key} is not part of a plain LoRA.*stock Load LoRA"):
        imported(tmp_path / "x.safetensors", flux, tensors)


@pytest.mark.slow
def test_an_imported_lora_is_an_extractor(models, dataset, tmp_path):
    """Of a model whose own concepts have a token: the imported one is called by its name."""
    import runs

    from purecc_pack.purecc.method.pure_learning import PureLearning

    patcher = models.model
    tensors = pair("transformer.transformer_blocks.0.attn.to_q", 128, 128)
    theta1 = imported(tmp_path / "theirs.safetensors", patcher, tensors).extractor
    learned = runs.customise(models, dataset, runs.job("pure", PureLearning(), steps=1), extractor=theta1)
    assert learned.adapter.tokens and len(learned.history.steps) == 1
