"""Name a model's layers as other programs do, by ComfyUI's own maps of LoRA keys."""

# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import comfy.lora
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ...adapters.exchange import ExchangeError, Exported, Place, export
from ...adapters.pairs import PairStyle
from ...network.linear import matrix_shape
from ..families import family_of


@dataclass(frozen=True)
class Format:
    """A format of LoRA files.

    Attributes:
        names: pattern of its names for layers.
        style: ends of its keys.
    """

    names: str
    style: PairStyle


COMFYUI = "ComfyUI"

FORMATS = {
    "diffusers": Format(r"transformer\..+", PairStyle(".lora_B.weight", ".lora_A.weight")),
    "peft": Format(r"base_model\.model\..+", PairStyle(".lora_B.weight", ".lora_A.weight")),
    "kohya": Format(r"lora_unet_.+", PairStyle(".lora_up.weight", ".lora_down.weight", has_alpha=True)),
}
"""Formats beside ComfyUI's own, by their names on the node."""

_UNET = Format(r"unet\..+", PairStyle(".lora.up.weight", ".lora.down.weight"))  # that of diffusers for U-Nets


def known_places(model: ModelPatcher) -> dict[str, Place]:
    """Return every name by which ComfyUI knows a layer of a MODEL, and what it stands for."""
    shapes = layer_shapes(model)
    out: dict[str, Place] = {}
    for name, target in comfy.lora.model_lora_keys_unet(model.model, {}).items():
        key, rows, change = (*target, None, None)[:3] if isinstance(target, tuple) else (target, None, None)
        module = key.removesuffix(".weight")
        if module in shapes and (rows is None or rows[0] == 0):
            start, size = (0, None) if rows is None else (rows[1], rows[2])
            order = None if change is None else _order(change, shapes[module][0])
            if start + (size or 0) <= shapes[module][0]:
                out[name] = Place(module, start, size, order)
    for name, place in list(out.items()):  # what diffusers has written since it adapts by peft
        if ".processor.to_" in name:
            plain = name.replace(".processor.", ".")
            out.setdefault(f"{plain}.0" if plain.endswith(".to_out") else plain, place)
    return out


def layer_shapes(model: ModelPatcher) -> dict[str, tuple[int, int]]:
    """Return (out, in) of each layer of a MODEL, by its name, `diffusion_model.X`; of convolutions as matrices."""
    named = {f"diffusion_model.{n}": matrix_shape(m) for n, m in model.model.diffusion_model.named_modules()}
    return {name: shape for name, shape in named.items() if shape is not None}


def exported(lora: Mapping[str, Tensor], model: ModelPatcher, name: str) -> Exported:
    """Return a LoRA in a format.

    Args:
        lora: as in `Adapter`.
        model: the MODEL that it belongs to.
        name: a key of FORMATS.

    Raises:
        ExchangeError: the format has no name for a layer.
    """
    family, every = family_of(model), known_places(model)
    given = FORMATS[name]
    if name == "diffusers" and any(re.fullmatch(_UNET.names, key) for key in every):
        given = _UNET
    names = {key: place for key, place in every.items() if re.fullmatch(given.names, key)}
    if given is _UNET:
        written = {place.module: key for key, place in reversed(names.items()) if ".processor." in key}
        names = {key: place for key, place in names.items() if written.get(place.module, key) == key}
    if not names:
        raise ExchangeError(f"ComfyUI has no {name} names for models of {family.name}")
    pattern = "" if family.practice is None else family.practice.preferred
    preferred = [key for key in names if re.fullmatch(pattern, key)]
    return export(lora, names, given.style, preferred)


def _order(change: Callable[[Tensor], Tensor], rows: int) -> Tensor:
    """Return the order in which a change of a weight puts its rows."""
    return change(torch.arange(rows).unsqueeze(1)).squeeze(1)
