"""Read a LoRA that another program wrote, as an adapter and as an extractor."""

# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import comfy.lora_convert
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ...adapters.adapter import TEXT_KEY
from ...adapters.exchange import of_one_rank, read
from ...adapters.files import Adapter, AdapterFileError
from ...adapters.pairs import pairs_of
from ...adapters.safetensors_io import read_header, read_tensors
from ...network.linear import is_linear
from ...text.texts import validate_name
from ..families import family_of
from .layer_names import known_places, layer_shapes

HASHES = ("sshs_", "modelspec.hash", "purecc.")
"""Metadata that would be wrong of the file that is saved."""


@dataclass(frozen=True)
class Imported:
    """A LoRA of another program.

    Attributes:
        adapter: with the LoRA of text encoders, where the file has one.
        extractor: the same without that; None: it cannot be one.
        note: what a user should know.
    """

    adapter: Adapter
    extractor: Adapter | None
    note: str


def import_lora(path: Path, model: ModelPatcher) -> Imported:
    """Read a LoRA of the formats that ComfyUI knows for a MODEL.

    Raises:
        AdapterFileError: the file is no LoRA, of another kind than a plain one, or of another model; names the layers.
    """
    header, tensors = read_header(path), comfy.lora_convert.convert_lora(read_tensors(path))
    text = {key: tensor for key, tensor in tensors.items() if TEXT_KEY.match(key)}
    shapes = layer_shapes(model)
    try:
        rows = {name: shape[0] for name, shape in shapes.items()}
        lora = read({k: v for k, v in tensors.items() if k not in text}, known_places(model), rows)
        _check_inputs(lora, shapes)
    except ValueError as error:
        raise AdapterFileError(
            f"{path} cannot be imported for this model ({family_of(model).name}): {error}. Connect the model it was "
            "made for, or load it with the stock Load LoRA node."
        ) from error
    if not lora:
        raise AdapterFileError(f"{path} has a LoRA of the text encoders only. Load it with the stock Load LoRA node.")
    about = {k: v for k, v in header.get("__metadata__", {}).items() if not k.startswith(HASHES)}
    name = _name(path.stem)
    try:
        adapter = Adapter("adapter", name, lora, {}, None, about, text)
    except ValueError as error:
        raise AdapterFileError(f"{path} is not a usable LoRA. {error}") from error
    if others := _not_linear(lora, model):
        shown = f"It cannot be an extractor, because it changes layers that are not linear, such as {others[0]}."
        return Imported(adapter, None, _note(name, text, shown))
    extractor = Adapter("extractor", name, of_one_rank(lora), {}, None, about)
    return Imported(adapter, extractor, _note(name, text, _joined(tensors, lora)))


def _note(name: str, text: Mapping[str, Tensor], more: str) -> str:
    """Return what to say of a LoRA on the node."""
    said = f"Imported {name}: prompts use its own trigger words, not embedding:NAME."
    if text:
        said += " Apply Adapter applies its text encoder part to the CLIP; an extractor leaves that part out."
    return f"{said} {more}".strip()


def _joined(tensors: Mapping[str, Tensor], lora: Mapping[str, Tensor]) -> str:
    """Return a sentence on layers whose rank grew, because the file adapts parts of them apart."""
    most = max(pair.rank for pair in pairs_of({k: v for k, v in tensors.items() if not TEXT_KEY.match(k)}).values())
    ranks = [pair.rank for pair in pairs_of(lora).values() if pair.rank > most]
    if not ranks:
        return ""
    return f"{len(ranks)} layers that the file adapts in parts have rank {max(ranks)} here; the change is the same."


def _check_inputs(lora: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, int]]) -> None:
    for module, pair in pairs_of(lora).items():
        if (shape := (len(pair.up), pair.down.shape[1])) != shapes[module]:
            layer = module.removeprefix("diffusion_model.")
            raise ValueError(f"its layer {layer} is {shape} and the model's is {shapes[module]}")


def _not_linear(lora: Mapping[str, Tensor], model: ModelPatcher) -> list[str]:
    names = [module.removeprefix("diffusion_model.") for module in pairs_of(lora)]
    return [name for name in names if not is_linear(model.model.diffusion_model.get_submodule(name))]


def _name(stem: str) -> str:
    """Return a file's name as the name of an adapter."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", stem).lstrip(".-")[:100].rstrip(".") or "imported"
    try:
        return validate_name(name)
    except ValueError:
        return validate_name(f"my_{re.sub('[.]', '_', name)}"[:100])
