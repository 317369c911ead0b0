"""Velocity drift of any customised MODELs of the host against their base."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import comfy.model_patcher
import comfy.model_sampling
import comfy.sampler_helpers
import comfy.samplers
import torch
from torch import Tensor

from ..measure import DriftProbe, passes
from ..recipes import BASE
from ..texts import prompt
from .drawing import empty_latent
from .progress import NodeProgress


def is_flow(model) -> bool:
    """Whether a MODEL predicts velocities."""
    return isinstance(model.get_model_object("model_sampling"), comfy.model_sampling.CONST)


def check_flow(model) -> None:
    """Refuses a model without velocities.

    Raises:
        ValueError: names its kind and what has a drift.
    """
    if not is_flow(model):
        raise ValueError(
            f"The model ({type(model.model).__name__}) does not predict a velocity, so it has no velocity drift. "
            "Connect a flow model, such as Stable Diffusion 3.5 or Flux."
        )


def drift(
    base: tuple,
    customised: Sequence[tuple],
    prompts: Sequence[str],
    width: int,
    height: int,
    progress: NodeProgress,
    **options,
) -> list[float]:
    """The drift of customised models against their base, as `DriftProbe` defines it.

    Args:
        base: (MODEL, CLIP).
        customised: (MODEL, CLIP) each, made from them, by Apply Adapter or any LoRA loader.
        prompts: unrelated to the concept.
        width: of the pictures, in pixels.
        height: of the pictures, in pixels.
        progress: on the node; its parts are velocities, see `parts`.
        options: of `DriftProbe`.

    Raises:
        ValueError: there are no prompts, a model is no flow model, or the two are unlike.
    """
    prompts = [" ".join(p.split()) for p in prompts if p.strip()]
    if not prompts:
        raise ValueError("There are no prompts: write some without the concept, one a line.")
    for model, _ in (base, *customised):
        check_flow(model)
    if any(type(base[0].model) is not type(model.model) for model, _ in customised):
        raise ValueError("The customised model is of another kind than the base model: connect what it was made from.")
    named = {f"customised {k}": pair for k, pair in enumerate(customised)}
    branches = _Branches({BASE: base, **named}, prompts, progress)
    probe = DriftProbe(branches, tuple(empty_latent(base[0], width, height).shape[1:]), prompts, **options)
    return [probe(name) for name in named]


def parts(prompts: int, models: int = 1, steps: int = 8) -> int:
    """How many velocities it takes: the base's with and without the prompt, and each model's."""
    return passes(prompts, models, steps)


class _Branches:
    """MODELs as the branches of a trainee, which is all that DriftProbe asks for."""

    def __init__(self, branches: dict[str | None, tuple], prompts: Sequence[str], progress: NodeProgress):
        self._branches, self._progress = branches, progress
        self.model = SimpleNamespace(device=branches[BASE][0].load_device)
        self._conds = {}
        for branch, (_, clip) in branches.items():
            for text in ("", *prompts):
                tokens = clip.tokenize(prompt(text, "x"))
                self._conds[branch, text] = clip.encode_from_tokens_scheduled(tokens)

    def run(self, branch: str | None, x_t: Tensor, t: Tensor, texts: Sequence[str], limit: int | None = None) -> Tensor:
        """v(x_t, t | text) of a branch, [B, C, h, w] float32; see Trainee."""
        out = torch.empty_like(x_t, dtype=torch.float32)
        for text in dict.fromkeys(texts):
            rows = [i for i, other in enumerate(texts) if other == text]
            for start in range(0, len(rows), limit or len(rows)):
                part = rows[start : start + (limit or len(rows))]
                out[part] = velocity(self._branches[branch][0], x_t[part], t[part], self._conds[branch, text])
                self._progress.advance(len(part))
        return out


def velocity(model, x_t: Tensor, t: Tensor, conditioning: list) -> Tensor:
    """v(x_t, t | y) = (x_t - x̂0) / t on the host's own sampling path, patches and wrappers of the MODEL included.

    Args:
        model: MODEL.
        x_t: [B, ...] in the model's latent space.
        t: [B] in (0, 1].
        conditioning: of one prompt.
    """
    options = comfy.model_patcher.create_model_options_clone(model.model_options)
    conds = {"positive": comfy.sampler_helpers.convert_cond(conditioning)}
    comfy.sampler_helpers.prepare_model_patcher(model, conds, options)
    _, conds, extra = comfy.sampler_helpers.prepare_sampling(model, x_t.shape, conds, options)
    comfy.samplers.cast_to_load_options(options, device=x_t.device, dtype=model.model_dtype())
    try:
        model.pre_run()
        conds = comfy.samplers.process_conds(model.model, x_t, conds, x_t.device)
        (x0,) = comfy.samplers.calc_cond_batch(model.model, [conds["positive"]], x_t, t, options)
    finally:
        model.cleanup()
        comfy.sampler_helpers.cleanup_models(conds, extra)
    return ((x_t - x0) / t.view(-1, *[1] * (x_t.ndim - 1))).float()
