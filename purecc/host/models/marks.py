"""Layer-wise vectors of applied adapters, for networks whose text stream has no column to spare for marks.

The conditioning carries an entry that says which rows of the text stream are [v]. On its way into the network it joins
batches, and is repeated, as the text stream is. There, every block that takes text gets the adapter's vector at these
rows. Stock nodes that join two conditionings keep the entry of the one that they add to.
"""

# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import torch
from comfy.conds import CONDCrossAttn
from comfy.model_patcher import ModelPatcher
from comfy.patcher_extension import WrappersMP
from comfy.sd import CLIP
from torch import Tensor

from ...adapters.files import Adapter
from ...network.embedding import LayerHooks
from ..families import family_of
from .embeddings import rows_of_concept, rows_of_text

ENTRY = "purecc_marks"
"""In the conditioning: for each adapter, [1, N], 1.0 at the rows of [v]."""


def key_of(adapter: Adapter) -> str:
    """Return the name of an adapter's marks."""
    return f"{ENTRY}_{adapter.name}"


class MarkingEntries(CLIP):
    """A CLIP that says in its conditioning where the [v] of adapters with layer-wise vectors is."""

    marked: tuple[Adapter, ...] = ()

    @classmethod
    def of(cls, clip: CLIP, adapter: Adapter) -> MarkingEntries:
        """Return the same CLIP, which marks this adapter too."""
        out = cls(no_init=True)
        out.__dict__.update(clip.__dict__)
        others = tuple(a for a in getattr(clip, "marked", ()) if a.name != adapter.name)
        out.marked = (*others, adapter)
        return out

    def clone(self, disable_dynamic: bool = False) -> MarkingEntries:
        """Clone as the host does and keep the marks."""
        out = type(self)(no_init=True)
        out.__dict__.update(super().clone(disable_dynamic=disable_dynamic).__dict__)
        out.marked = self.marked
        return out

    def encode_from_tokens_scheduled(self, tokens, unprojected=False, add_dict=None, show_pbar=True):
        """Encode every part of a schedule as the host does and add the entry."""
        out = super().encode_from_tokens_scheduled(tokens, unprojected, add_dict or {}, show_pbar)
        return [[cond, {**fields, ENTRY: self._marks(tokens, cond)}, *rest] for cond, fields, *rest in out]

    def _marks(self, tokens: dict[str, list], cond: Tensor) -> dict[str, Tensor]:
        found = rows_of_concept(self, tokens, cond.shape[1])
        out = {}
        for adapter in self.marked:
            vectors = [row for token in adapter.tokens.values() for row in token]
            rows = [row for row, vector in found if any(_same(vector, own) for own in vectors)]
            out[key_of(adapter)] = torch.zeros(1, rows_of_text(self, tokens, cond.shape[1]))
            out[key_of(adapter)][0, rows] = 1.0
        return out


def _same(vector: Tensor, own: Tensor) -> bool:
    return vector.shape == own.shape and torch.equal(vector.cpu(), own.cpu())


def insert_layers(model: ModelPatcher, adapter: Adapter, layers: Tensor, strength: float) -> None:
    """Have a clone of a MODEL insert an adapter's layer-wise vectors at the marks of its conditioning."""
    key = key_of(adapter)
    model.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, key, _WithMarks(key))
    model.add_wrapper_with_key(WrappersMP.APPLY_MODEL, key, _Inserting(model, key, layers, strength))


class _WithMarks:
    """Gives every conditioning of a step an input beside its text: an adapter's marks of all rows of the text."""

    def __init__(self, key: str):
        self._key = key

    def __call__(self, executor, model, conds, x_in, timestep, model_options):
        """Predict for these conditionings, see `samplers.calc_cond_batch`."""
        marked = [None if some is None else [self._marked(one) for one in some] for some in conds]
        return executor(model, marked, x_in, timestep, model_options)

    def _marked(self, cond: dict[str, Any]) -> dict[str, Any]:
        given, text = cond.get("cross_attn"), cond.get("model_conds", {}).get("c_crossattn")
        if given is None or text is None:
            return cond
        marks = torch.zeros(1, text.cond.shape[1], 1, device=text.cond.device)
        entry = cond.get(ENTRY, {}).get(self._key)
        if entry is not None:
            entry = entry.to(marks)[:, :, None].clone()
            count = min(entry.shape[1], given.shape[1])
            # What a node has zeroed is no concept any more.
            entry[:, :count] *= (given[:1, :count].abs().amax(-1, keepdim=True) > 0).to(marks)
            before = _added_before(given, text.cond)
            count = min(entry.shape[1], marks.shape[1] - before)
            marks[:, before : before + count] = entry[:, :count]
        return {**cond, "model_conds": {**cond["model_conds"], self._key: CONDCrossAttn(marks)}}


def _added_before(given: Tensor, text: Tensor) -> int:
    """Return how many rows a model put before the text, as Flux.2 does to make it longer."""
    missing = text.shape[1] - given.shape[1]
    if missing <= 0 or text.shape[-1] != given.shape[-1]:
        return 0
    return 0 if text[:, :missing].any() else missing


class _Inserting:
    """Runs a model with an adapter's vectors at the marked rows of every block that takes text."""

    def __init__(self, model: ModelPatcher, key: str, layers: Tensor, strength: float):
        self._family, self._key, self._layers, self._strength = family_of(model), key, layers, strength

    def __call__(self, executor, x, t, c_concat=None, c_crossattn=None, control=None, options=None, **kwargs):
        """Run the model, see `BaseModel.apply_model`."""
        marks = kwargs.pop(self._key, None)
        if marks is None or not marks.any():
            return executor(x, t, c_concat, c_crossattn, control, options or {}, **kwargs)
        hooks = LayerHooks(self._family.text_inputs(executor.class_obj.diffusion_model))
        hooks.marks = marks[..., 0].float() * self._strength
        try:
            with hooks.use(self._layers):
                return executor(x, t, c_concat, c_crossattn, control, options or {}, **kwargs)
        finally:
            hooks.remove()
