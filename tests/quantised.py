"""Tiny genuine models whose blocks are quantised, each beside the same model with its weights dequantised.

`build(NAME, KIND)` gives (recipe, the quantised BaseModel, the dequantised one). A kind is one of the host's formats;
FP8, weights that are stored as such without a scale; or a layer of another pack: PACKED has buffers and no weight, GGUF
is a linear layer of the host whose weight is bytes.
"""

import json
from dataclasses import replace

import comfy.ops
import genuine
import torch
from comfy.quant_ops import QUANT_ALGOS, QuantizedTensor
from torch import nn

FORMATS = {name: {} for name in QUANT_ALGOS}
"""The host's formats, with what a file says of each beside its name."""
FORMATS |= {"int8_tensorwise": {"convrot": True, "convrot_groupsize": 64}, "convrot_w4a4": {"convrot_groupsize": 64}}

FP8, PACKED, GGUF = "unscaled fp8", "packed", "gguf"
KINDS = (*FORMATS, FP8, PACKED, GGUF)

GROUP = 64
"""Every format packs rows whose length is a multiple of it."""


def quantised(weight, name):
    """The tensors of a weight in a format of the host, by the ends of their names, and the weight dequantised."""
    extra = {"scale": "recalculate"} if name.startswith("float8") else {}
    extra |= {"per_channel": True} if name == "int8_tensorwise" else {}
    packed = QuantizedTensor.from_float(weight, QUANT_ALGOS[name]["comfy_tensor_layout"], **extra, **FORMATS[name])
    return {**packed.state_dict(".weight"), ".comfy_quant": said(name)}, packed.dequantize()


def said(name):
    """What a file says of a layer's format."""
    return torch.tensor(list(json.dumps({"format": name, **FORMATS[name]}).encode()), dtype=torch.uint8)


def split(weights, name, packs):
    """(state dict of a quantised file, that of the same weights dequantised)."""
    packed, plain = {}, {}
    for key, weight in weights.items():
        path = key.removesuffix(".weight")
        if path != key and packs(path, weight):
            tensors, plain[key] = quantised(weight, name)
            packed |= {path + end: tensor for end, tensor in tensors.items()}
        else:
            packed[key] = plain[key] = weight
    return packed, plain


class Packed(nn.Module):
    """A linear layer of no kind that is known: whole numbers and a scale for each row."""

    def __init__(self, linear):
        super().__init__()
        self.in_features, self.out_features, self.bias = linear.in_features, linear.out_features, linear.bias
        scale = linear.weight.abs().amax(1, keepdim=True) / 127
        self.register_buffer("scale", scale.detach())
        self.register_buffer("packed", (linear.weight / scale).round().to(torch.int8).detach())

    def dequantised(self):
        return self.packed.float() * self.scale

    def forward(self, x):
        return nn.functional.linear(x, self.dequantised().to(x.dtype), self.bias)


class Gguf(comfy.ops.manual_cast.Linear):
    """A linear layer of the host whose weight is bytes of two numbers each, as packs for GGUF files have them."""

    def __init__(self, linear):
        super().__init__(linear.in_features, linear.out_features, bias=linear.bias is not None)
        self.bias = linear.bias
        self.register_buffer("scale", linear.weight.detach().abs().amax(1, keepdim=True) / 7)
        even, odd = ((linear.weight / self.scale).round().to(torch.int8) + 8).to(torch.uint8).chunk(2, dim=1)
        self.weight = nn.Parameter(even + 16 * odd, requires_grad=False)

    def dequantised(self):
        whole = torch.cat([self.weight % 16, self.weight // 16], dim=1)
        return (whole.float() - 8) * self.scale

    def forward_comfy_cast_weights(self, input):
        return nn.functional.linear(input, self.dequantised().to(input.dtype), self.bias)


def build(name, kind):
    """The recipe of a tiny genuine model, the model quantised, and dequantised."""
    recipe, base = genuine.build(name)
    network = base.diffusion_model
    blocks = tuple(n + "." for n, m in network.named_modules() if any(m is b for b in recipe["blocks"](base)))
    linear = {n for n, m in network.named_modules() if n.startswith(blocks) and isinstance(m, nn.Linear)}
    linear = {n for n in linear if network.get_submodule(n).in_features % GROUP == 0}
    if kind in FORMATS:
        loaded = loading(recipe)
        packed, plain = split(network.state_dict(), kind, lambda path, _: path in linear)
        loaded.diffusion_model.load_state_dict(packed)
        network.load_state_dict(plain)
        return recipe, loaded.eval(), base
    _, loaded = genuine.build(name)
    for path in linear:
        parent, _, leaf = path.rpartition(".")
        layer = loaded.diffusion_model.get_submodule(path)
        if kind == FP8:
            layer.weight.data, layer.comfy_cast_weights = layer.weight.data.to(torch.float8_e4m3fn), True
            exact = layer.weight.data.float()
        else:
            packed = {PACKED: Packed, GGUF: Gguf}[kind](layer)
            setattr(loaded.diffusion_model.get_submodule(parent), leaf, packed)
            exact = packed.dequantised()
        network.get_submodule(path).weight.data.copy_(exact)
    return recipe, loaded, base


def loading(recipe):
    """A model that loads quantised weights, in float32 elsewhere."""
    config = recipe["cls"](dict(recipe["unet"]))
    config.quant_config = {"mixed_ops": True}
    config.set_inference_dtype(torch.float32, torch.float32)
    return config.get_model({}, "")


def given(name, base):
    """(models, dataset) of a tiny genuine model that was built apart."""
    from genuine.training import Tiny

    tiny = Tiny(name)
    base.requires_grad_(False)
    return replace(tiny.models, model=genuine.patcher_of(base)), tiny.dataset
