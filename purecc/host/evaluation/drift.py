"""Measure the velocity drift of customised MODELs of the host against their base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace

import comfy.model_patcher
import comfy.sampler_helpers
import comfy.samplers
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ...method.recipe import BASE
from ...text.texts import prompt
from ...training.drift import DriftProbe, passes
from ..families.sizes import size_problem
from ..models.host_models import HostModels
from ..models.noise_path import noise_path, to_host
from ..ui.node_progress import NodeProgress
from .sampling import empty_latent


def has_drift(model: ModelPatcher) -> bool:
    """Return whether a MODEL is one that drift is defined on: it has a velocity, see `noise_path`."""
    try:
        noise_path(model.get_model_object("model_sampling"))
    except ValueError:
        return False
    return True


def check_drift(model: ModelPatcher) -> None:
    """Refuse a model without velocities.

    Raises:
        ValueError: it has none.
    """
    if not has_drift(model):
        raise ValueError(
            f"The model ({type(model.model).__name__}) predicts neither a velocity nor noise, so it has no drift. "
            "Connect a text-to-image model."
        )


def drift(
    base: HostModels,
    customised: Sequence[HostModels],
    prompts: Sequence[str],
    size: tuple[int, int],
    progress: NodeProgress,
    steps: int = 8,
    limit: int | None = 16,
) -> list[float]:
    """Return the drift of customised models against their base, as `DriftProbe` defines it.

    Args:
        base: MODEL and CLIP.
        customised: made from the base, by Apply Adapter or any LoRA loader.
        prompts: unrelated to the concept.
        size: (width, height) of the images, in pixels.
        progress: on the node; its parts are velocities, see `parts`.
        steps: points on every trajectory.
        limit: the most samples in one pass; None: no limit.

    Raises:
        ValueError: there are no prompts, a model has no velocity, does not take this size, or the two are unlike.
    """
    prompts = [" ".join(p.split()) for p in prompts if p.strip()]
    if not prompts:
        raise ValueError("There are no prompts. Write some without the concept, one per line.")
    for models in (base, *customised):
        check_drift(models.model)
    ours = type(base.model.model)
    if other := next((t for m in customised if (t := type(m.model.model)) is not ours), None):
        raise ValueError(
            f"The customised model ({other.__name__}) is not of the base model's kind ({ours.__name__}). Connect the "
            "base model that it was made from."
        )
    named = {f"customised {k}": models for k, models in enumerate(customised)}
    every: dict[str | None, HostModels] = {BASE: base}
    every.update(named)
    _, *shape = empty_latent(base.model, *size).shape
    if problem := size_problem(base.model, shape[-2:]):
        raise ValueError(f"{problem} Set width and height to it.")
    branches = _Branches(every, prompts, progress)
    probe = DriftProbe(branches, tuple(shape), prompts, steps=steps, limit=limit)
    return [probe(name) for name in named]


def parts(prompts: int, models: int = 1, steps: int = 8) -> int:
    """Return the number of velocities: the base's with and without the prompt, and each model's."""
    return passes(prompts, models, steps)


class _Branches:
    """MODELs as the branches that DriftProbe compares."""

    def __init__(self, branches: Mapping[str | None, HostModels], prompts: Sequence[str], progress: NodeProgress):
        self._branches, self._progress = branches, progress
        base = branches[BASE].model
        self.field = SimpleNamespace(device=base.load_device, path=noise_path(base.get_model_object("model_sampling")))
        self._conds = {}
        for branch, models in branches.items():
            for text in ("", *prompts):
                tokens = models.clip.tokenize(prompt(text, "x"))
                self._conds[branch, text] = models.clip.encode_from_tokens_scheduled(tokens)

    def run(self, branch: str | None, x_t: Tensor, t: Tensor, texts: Sequence[str], limit: int | None = None) -> Tensor:
        """Return v(x_t, t | text) of a branch, [B, C, h, w] float32; see BranchedModel."""
        out = torch.empty_like(x_t, dtype=torch.float32)
        for text in dict.fromkeys(texts):
            rows = [i for i, other in enumerate(texts) if other == text]
            for start in range(0, len(rows), limit or len(rows)):
                part = rows[start : start + (limit or len(rows))]
                out[part] = velocity(self._branches[branch].model, x_t[part], t[part], self._conds[branch, text])
                self._progress.advance(len(part))
        return out


def velocity(model: ModelPatcher, x_t: Tensor, t: Tensor, conditioning: list) -> Tensor:
    """Return v(x_t, t | y) = (x_t - x̂0) / t on the host's sampling path, with patches and wrappers of the MODEL.

    Args:
        model: MODEL.
        x_t: [B, ...] in the model's latent space.
        t: [B] in (0, 1].
        conditioning: of one prompt.
    """
    options = comfy.model_patcher.create_model_options_clone(model.model_options)
    conds = {"positive": comfy.sampler_helpers.convert_cond(conditioning)}
    x, sigma = to_host(model.get_model_object("model_sampling"), x_t, t)
    comfy.sampler_helpers.prepare_model_patcher(model, conds, options)
    _, conds, extra = comfy.sampler_helpers.prepare_sampling(model, x_t.shape, conds, options)
    comfy.samplers.cast_to_load_options(options, device=x_t.device, dtype=model.model_dtype())
    try:
        model.pre_run()
        conds = comfy.samplers.process_conds(model.model, x, conds, x.device)
        (x0,) = comfy.samplers.calc_cond_batch(model.model, [conds["positive"]], x, sigma, options)
    finally:
        model.cleanup()
        comfy.sampler_helpers.cleanup_models(conds, extra)
    return ((x_t - x0) / t.view(-1, *[1] * (x_t.ndim - 1))).float()
