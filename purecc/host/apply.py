"""An adapter on the user's MODEL and CLIP: the host's LoRA loading, a resolved `embedding:NAME`, layer-wise vectors.

Layer-wise vectors need to know, deep in the network, which rows of the text stream are [v]. The conditioning itself
carries that: the rows of CLIP in the SD3 text stream are zero beyond column 2048, and a tiny mark in one of those
columns, a column an adapter, survives every stock node that cuts, joins, blends or repeats conditioning.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import comfy.sd
import folder_paths
import torch
from comfy.patcher_extension import WrappersMP
from comfy.sd import CLIP
from torch import Tensor

from ..concept import insert
from ..files import Adapter
from . import embeddings

WIDTH = 4096
FREE = 2048
"""The columns of CLIP's rows from here to WIDTH are zero."""

MARK = 2.0**-10
"""Too small to be seen by a model without the adapter, exact in every float format."""


def apply(model, clip: CLIP | None, adapter: Adapter, strength: float = 1.0):
    """The user's MODEL and CLIP with an adapter on; neither is changed.

    Args:
        model: MODEL.
        clip: CLIP, or None.
        adapter: from training or from files.
        strength: of LoRA and layer-wise vectors; the token is on wherever a prompt names it.

    Returns:
        (MODEL, CLIP).

    Raises:
        ValueError: the adapter belongs to another kind of model or CLIP.
    """
    _check(model, clip, adapter)
    out_model = model
    if strength != 0:
        out_model, _ = comfy.sd.load_lora_for_models(model, None, dict(adapter.lora), strength, 0)
        if adapter.layers is not None:
            if out_model is model:
                out_model = model.clone()
            out_model.add_wrapper_with_key(
                WrappersMP.APPLY_MODEL, f"purecc.{adapter.name}", _LayerWise(adapter.layers, column(adapter), strength)
            )
    return out_model, None if clip is None else _speaking(clip, adapter)


def column(adapter: Adapter) -> int:
    """The column of the text stream in which this adapter's marks are."""
    return FREE + int.from_bytes(_digest(adapter)[:4], "big") % (WIDTH - FREE)


def _digest(adapter: Adapter) -> bytes:
    digest = hashlib.sha256(adapter.name.encode())
    for key in sorted(adapter.tokens):
        digest.update(adapter.tokens[key].detach().float().cpu().contiguous().numpy().tobytes())
    return digest.digest()


def _speaking(clip: CLIP, adapter: Adapter) -> CLIP:
    """A CLIP whose prompts know `embedding:NAME`, whether or not the adapter was saved."""
    if not adapter.tokens:
        return clip
    folder = Path(folder_paths.get_temp_directory()) / "purecc" / _digest(adapter).hex()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / f"{adapter.name}.safetensors").is_file():
        embeddings.write(folder, adapter.name, adapter.tokens)
    out = embeddings.with_directory(clip, folder)
    if adapter.layers is not None:
        for other in getattr(clip, "marked", ()):
            if column(other) == column(adapter) and other.name != adapter.name:
                raise ValueError(
                    f"The adapters {other.name!r} and {adapter.name!r} cannot be told apart in a prompt, which befalls "
                    "one pair in two thousand. Save one of them under another name."
                )
        out = MarkingCLIP.of(out, adapter)
    return out


class MarkingCLIP(CLIP):
    """A CLIP that marks, in what it encodes, the rows where adapters with layer-wise vectors have their [v]."""

    marked: tuple[Adapter, ...] = ()

    @classmethod
    def of(cls, clip: CLIP, adapter: Adapter) -> MarkingCLIP:
        """The same CLIP, marking this adapter too."""
        out = cls(no_init=True)
        out.__dict__.update(clip.__dict__)
        out.marked = (*getattr(clip, "marked", ()), adapter)
        return out

    def clone(self, disable_dynamic: bool = False) -> MarkingCLIP:
        """As the host clones, marks kept."""
        out = type(self)(no_init=True)
        out.__dict__.update(super().clone(disable_dynamic=disable_dynamic).__dict__)
        out.marked = self.marked
        return out

    def encode_from_tokens(self, tokens, return_pooled=False, return_dict=False):
        """As the host encodes, with the marks."""
        out = super().encode_from_tokens(tokens, return_pooled=return_pooled, return_dict=return_dict)
        if return_dict:
            return {**out, "cond": self._mark(tokens, out["cond"])}
        return (self._mark(tokens, out[0]), out[1]) if return_pooled else self._mark(tokens, out)

    def encode_from_tokens_scheduled(self, tokens, unprojected=False, add_dict=None, show_pbar=True):
        """As the host encodes for every part of a schedule, with the marks."""
        out = super().encode_from_tokens_scheduled(tokens, unprojected, add_dict or {}, show_pbar)
        return [[self._mark(tokens, cond), *rest] for cond, *rest in out]

    def _mark(self, tokens, cond: Tensor) -> Tensor:
        encoder = embeddings.encoder_names(self)[0]
        window = len(tokens[embeddings.ENCODERS[encoder]][0])
        cond = cond.clone()
        for chunk, place, vector in embeddings.positions(tokens, encoder):
            for adapter in self.marked:
                rows = adapter.tokens[encoder]
                if any(vector.shape == row.shape and torch.equal(vector.cpu(), row.cpu()) for row in rows):
                    cond[:, chunk * window + place, column(adapter)] = MARK
        return cond


class _LayerWise:
    """Replaces the marked rows of the text stream by an adapter's vector at the input of every joint block."""

    def __init__(self, layers: Tensor, at: int, strength: float):
        self._layers, self._at, self._strength = layers, at, strength

    def __call__(
        self, executor, x, t, c_concat=None, c_crossattn=None, control=None, transformer_options=None, **kwargs
    ):
        options = dict(transformer_options or {})
        if c_crossattn is not None and c_crossattn.shape[-1] == WIDTH:
            of_clip = c_crossattn[..., FREE:].abs().amax(-1) <= MARK
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


def _check(model, clip: CLIP | None, adapter: Adapter) -> None:
    network = model.model.diffusion_model
    shapes = {f"diffusion_model.{n}": tuple(p.shape) for n, p in network.named_parameters()}
    for key, up in adapter.lora.items():
        if not key.endswith(".lora_up.weight"):
            continue
        path = key.removesuffix(".lora_up.weight")
        shape = (up.shape[0], adapter.lora[f"{path}.lora_down.weight"].shape[1])
        if shapes.get(f"{path}.weight") != shape:
            raise ValueError(
                f"The adapter {adapter.name!r} was trained on another kind of model: its layer {path} is {shape}, "
                f"here it is {shapes.get(f'{path}.weight')}. Load the base model it was trained on "
                f"({adapter.metadata.get('purecc.base_model', 'see its metadata')})."
            )
    if adapter.layers is not None and len(adapter.layers) != len(network.joint_blocks):
        raise ValueError(
            f"The adapter {adapter.name!r} has vectors for {len(adapter.layers)} blocks and the model has "
            f"{len(network.joint_blocks)}. Load the base model it was trained on."
        )
    if clip is not None and adapter.tokens:
        for name in embeddings.encoder_names(clip):
            table = getattr(clip.cond_stage_model, name).transformer.get_input_embeddings().weight
            if name in adapter.tokens and adapter.tokens[name].shape[1] != table.shape[1]:
                raise ValueError(
                    f"The token of {adapter.name!r} for {name} is {adapter.tokens[name].shape[1]} wide and this CLIP's "
                    f"are {table.shape[1]}. Connect the CLIP the adapter was trained with."
                )
