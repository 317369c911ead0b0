"""Apply an adapter to the user's MODEL and CLIP: its LoRA, `embedding:NAME` and layer-wise vectors.

Layer-wise vectors must know, deep in the network, which rows of the text stream are [v]. For SD3 the text stream itself
carries this: the rows of CLIP are zero in its last columns. A tiny mark in one of those columns, one column per
adapter, survives every stock node that cuts, joins, blends or repeats conditioning. For other models see `marks`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import comfy.sd
import folder_paths
import torch
from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import WrappersMP
from comfy.sd import CLIP
from torch import Tensor

from ...adapters.files import Adapter
from ...network.embedding import insert
from ...network.linear import matrix_shape
from ..families import TextSide, family_of
from . import embeddings
from .beside import BesideLora, split
from .marks import MarkingEntries, insert_layers
from .text_lora import with_text_lora

MARK = 2.0**-10
"""Too small to affect a model without the adapter, and exact in every float format."""


def apply(
    model: ModelPatcher, clip: CLIP | None, adapter: Adapter, strength: float = 1.0
) -> tuple[ModelPatcher, CLIP | None]:
    """Return the user's MODEL and CLIP with an adapter applied; the given ones are not changed.

    Args:
        model: MODEL.
        clip: CLIP, or None.
        adapter: from training or from files.
        strength: of LoRA and layer-wise vectors; the token always applies where a prompt names it.

    Returns:
        (MODEL, CLIP).

    Raises:
        ValueError: the adapter belongs to another kind of model or CLIP.
    """
    _check(model, clip, adapter)
    out_model = model
    if strength != 0:
        merged, beside = split(model.model, adapter.lora)
        out_model, _ = comfy.sd.load_lora_for_models(model, None, merged, strength, 0)
        if beside:
            lora = BesideLora(beside, strength)
            out_model.add_wrapper_with_key(WrappersMP.APPLY_MODEL, f"purecc.{adapter.name}.beside", lora)
        if adapter.layers is not None:
            if out_model is model:
                out_model = model.clone()
            _insert_layers(out_model, adapter, adapter.layers, strength)
        if clip is not None and adapter.text_lora:
            clip = with_text_lora(clip, adapter, strength)
    return out_model, None if clip is None else _with_token(clip, adapter)


def _insert_layers(model: ModelPatcher, adapter: Adapter, layers: Tensor, strength: float) -> None:
    """Have a clone of a MODEL insert layer-wise vectors.

    Raises:
        ValueError: the model takes none.
    """
    family = family_of(model)
    if not family.layer_wise:
        raise ValueError(
            f"The adapter {adapter.name!r} has layer-wise vectors, and models of {family.name} take none. Load the "
            "base model it was trained on."
        )
    if family.text is None or not family.text.free:
        insert_layers(model, adapter, layers, strength)
        return
    layer_wise = _LayerWise(family.text, column(adapter, family.text), layers, strength)
    model.add_wrapper_with_key(WrappersMP.APPLY_MODEL, f"purecc.{adapter.name}", layer_wise)


def column(adapter: Adapter, text: TextSide) -> int:
    """Return the column of the text stream that carries this adapter's marks."""
    return text.free[int.from_bytes(_digest(adapter)[:4], "big") % len(text.free)]


def _digest(adapter: Adapter) -> bytes:
    digest = hashlib.sha256(adapter.name.encode())
    for key in sorted(adapter.tokens):
        digest.update(adapter.tokens[key].detach().float().cpu().contiguous().numpy().tobytes())
    return digest.digest()


def _with_token(clip: CLIP, adapter: Adapter) -> CLIP:
    """Return a CLIP whose prompts know `embedding:NAME`, whether or not the adapter was saved."""
    if not adapter.tokens:
        return clip
    folder = Path(folder_paths.get_temp_directory()) / "purecc" / _digest(adapter).hex()[:16]

    def fill() -> None:  # ComfyUI or the user may empty the folder while the adapter is in use
        if not (folder / f"{adapter.name}.safetensors").is_file():
            embeddings.write(folder, adapter.name, adapter.tokens)

    fill()
    out = embeddings.knowing(clip, folder, adapter.name, adapter.tokens, fill)
    if adapter.layers is not None:
        text = embeddings.trainable_text(clip)
        if not text.free:
            return MarkingEntries.of(out, adapter)
        for other in getattr(clip, "marked", ()):
            if column(other, text) == column(adapter, text) and other.name != adapter.name:
                raise ValueError(
                    f"The marks of the adapters {other.name!r} and {adapter.name!r} collide (1 pair in 2000). Save one "
                    "of them under another name."
                )
        out = MarkingCLIP.of(out, adapter)
    return out


class MarkingCLIP(CLIP):
    """A CLIP that marks the rows of [v] of adapters with layer-wise vectors in what it encodes."""

    marked: tuple[Adapter, ...] = ()

    @classmethod
    def of(cls, clip: CLIP, adapter: Adapter) -> MarkingCLIP:
        """Return the same CLIP, which marks this adapter too."""
        out = cls(no_init=True)
        out.__dict__.update(clip.__dict__)
        out.marked = (*getattr(clip, "marked", ()), adapter)
        return out

    def clone(self, disable_dynamic: bool = False) -> MarkingCLIP:
        """Clone as the host does and keep the marks."""
        out = type(self)(no_init=True)
        out.__dict__.update(super().clone(disable_dynamic=disable_dynamic).__dict__)
        out.marked = self.marked
        return out

    def encode_from_tokens(self, tokens, return_pooled=False, return_dict=False):
        """Encode as the host does and add the marks."""
        out = super().encode_from_tokens(tokens, return_pooled=return_pooled, return_dict=return_dict)
        if return_dict:
            return {**out, "cond": self._mark(tokens, out["cond"])}
        return (self._mark(tokens, out[0]), out[1]) if return_pooled else self._mark(tokens, out)

    def encode_from_tokens_scheduled(self, tokens, unprojected=False, add_dict=None, show_pbar=True):
        """Encode every part of a schedule as the host does and add the marks."""
        out = super().encode_from_tokens_scheduled(tokens, unprojected, add_dict or {}, show_pbar)
        return [[self._mark(tokens, cond), *rest] for cond, *rest in out]

    def _mark(self, tokens, cond: Tensor) -> Tensor:
        name, encoder = next(iter(embeddings.trainable_encoders(self).items()))
        window, text = len(tokens[encoder.key][0]), embeddings.trainable_text(self)
        cond = cond.clone()
        for chunk, place, vector in embeddings.positions(tokens, encoder):
            for adapter in self.marked:
                rows = adapter.tokens[name]
                if any(vector.shape == row.shape and torch.equal(vector.cpu(), row.cpu()) for row in rows):
                    cond[:, chunk * window + place, column(adapter, text)] = MARK
        return cond


class _LayerWise:
    """Replaces the marked rows of the text stream by an adapter's vector at the input of every transformer block."""

    def __init__(self, text: TextSide, at: int, layers: Tensor, strength: float):
        self._text, self._at, self._layers, self._strength = text, at, layers, strength

    def __call__(
        self, executor, x, t, c_concat=None, c_crossattn=None, control=None, transformer_options=None, **kwargs
    ):
        options = dict(transformer_options or {})
        if c_crossattn is not None and c_crossattn.shape[-1] == self._text.width:
            of_clip = c_crossattn[..., self._text.free.start :].abs().amax(-1) <= MARK
            marks = torch.where(of_clip, c_crossattn[..., self._at] / MARK, 0.0)
            if marks.any():
                c_crossattn = c_crossattn.clone()
                c_crossattn[..., self._at] = torch.where(of_clip, 0.0, c_crossattn[..., self._at])
                self._patch(options, marks.float() * self._strength)
        return executor(x, t, c_concat, c_crossattn, control, options, **kwargs)

    def _patch(self, options: dict, marks: Tensor) -> None:
        replace = dict(options.get("patches_replace", {}))
        blocks = dict(replace.get("dit", {}))
        for i, vector in enumerate(self._layers):
            key = ("double_block", i)
            blocks[key] = _block(vector, marks, blocks.get(key))
        options["patches_replace"] = {**replace, "dit": blocks}


def _block(vector: Tensor, marks: Tensor, inner):
    def run(args: dict, extra: dict):
        text = args["txt"]
        args = {**args, "txt": insert(text, vector.to(text.device), marks.to(text.device))}
        return extra["original_block"](args) if inner is None else inner(args, extra)

    return run


def _check(model: ModelPatcher, clip: CLIP | None, adapter: Adapter) -> None:
    network = model.model.diffusion_model
    shapes = {f"diffusion_model.{n}": matrix_shape(m) for n, m in network.named_modules()}
    for key, up in adapter.lora.items():
        if not key.endswith(".lora_up.weight"):
            continue
        path = key.removesuffix(".lora_up.weight")
        shape = (up.shape[0], adapter.lora[f"{path}.lora_down.weight"].shape[1])
        if shapes.get(path) != shape:
            raise ValueError(
                f"The adapter {adapter.name!r} was trained on another kind of model: its layer {path} is {shape} "
                f"and this model's is {shapes.get(path)}. Load the base model it was trained on "
                f"({adapter.metadata.get('purecc.base_model', 'see its metadata')})."
            )
    if adapter.layers is not None:
        count = len(family_of(model).text_inputs(network))
        if len(adapter.layers) != count:
            raise ValueError(
                f"The adapter {adapter.name!r} has vectors for {len(adapter.layers)} blocks and the model has {count}. "
                "Load the base model it was trained on."
            )
    if clip is not None and adapter.tokens:
        if missing := set(embeddings.trainable_encoders(clip)) - set(adapter.tokens):
            raise ValueError(
                f"The adapter {adapter.name!r} has no token for {', '.join(sorted(missing))} of this CLIP, only for "
                f"{', '.join(sorted(adapter.tokens))}. Connect the CLIP the adapter was trained with."
            )
        for name in embeddings.trainable_encoders(clip):
            table = getattr(clip.cond_stage_model, name).transformer.get_input_embeddings().weight
            if name in adapter.tokens and adapter.tokens[name].shape[1] != table.shape[1]:
                raise ValueError(
                    f"The token of {adapter.name!r} for {name} has {adapter.tokens[name].shape[1]} numbers and this "
                    f"CLIP's have {table.shape[1]}. Connect the CLIP the adapter was trained with."
                )
