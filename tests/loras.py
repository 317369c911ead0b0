"""LoRAs with random weights for a model, and what the stock loader makes of a LoRA's keys."""

import torch


def random_lora(layers, rank=2, alpha=2.0, seed=0):
    """A LoRA in the pack's own names for layers {name: module}, in the order of their names."""
    generator = torch.Generator().manual_seed(seed)
    out = {}
    for name, module in sorted(layers.items()):
        outputs, inputs = module.weight.shape
        out[f"diffusion_model.{name}.lora_up.weight"] = torch.randn(outputs, rank, generator=generator)
        out[f"diffusion_model.{name}.lora_down.weight"] = torch.randn(rank, inputs, generator=generator)
        out[f"diffusion_model.{name}.alpha"] = torch.tensor(alpha)
    return out


def targets_of(patcher, group):
    """The linear layers of a group of a model's family: {name: module}."""
    import re

    from purecc_pack.purecc.host.families import family_of

    family, network = family_of(patcher), patcher.model.diffusion_model
    pattern = family.layers(family.suited(group))
    linear = {n: m for n, m in network.named_modules() if isinstance(m, torch.nn.Linear)}
    return {name: module for name, module in linear.items() if re.fullmatch(pattern, name)}


def patched(patcher, lora):
    """The weights that a LoRA changes, as the stock loader computes them: {key: weight}."""
    import comfy.lora
    import comfy.sd

    model, _ = comfy.sd.load_lora_for_models(patcher, None, dict(lora), 1.0, 0.0)
    weights = patcher.model.state_dict()
    return {
        key: comfy.lora.calculate_weight(patches, weights[key].clone().float(), key)
        for key, patches in model.patches.items()
    }


def assert_equal(a, b):
    """Names, dtypes, shapes and bits."""
    assert a.keys() == b.keys()
    for key in a:
        assert a[key].dtype == b[key].dtype and torch.equal(a[key], b[key]), key
