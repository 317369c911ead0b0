"""A step of ours beside plain float32 with the same weights, images, noise and adapters."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from purecc_pack.purecc.method.pure_learning import Direction
from speed.clock import Measured
from speed.ours import Listener, Ours
from speed.setup import Shape
from speed.stages import CONFIGURATIONS, STAGES, Configuration


class Observation(NamedTuple):
    """Velocities, λ and losses of a step by name; the gradient of all that is trained; what the base computed in."""

    tensors: Mapping[str, Tensor]
    gradient: Tensor
    dtype: torch.dtype | None


class Accuracy(Ours):
    """Every stage in every configuration that is for it, beside float32; with fp8, beside the same rounded weights."""

    def measure(self, stage: str, name: str, shape: Shape) -> tuple[str, Measured]:
        """Return the configuration and its errors."""
        configuration = CONFIGURATIONS[name]
        found = self._observed(stage, configuration, shape.pixels)
        plain = self._observed(stage, Configuration(precision="float32", fp8=configuration.fp8), shape.pixels)
        direction = getattr(STAGES[stage].recipe, "direction", None)
        return name, Measured(dtype=found.dtype, accuracy=compare(found, plain, direction))

    @functools.cache  # noqa: B019  one contestant lives as long as its process
    def _observed(self, stage: str, configuration: Configuration, pixels: int) -> Observation:
        """Observe the second step of two; before it the LoRA gets random weights, so that it makes a difference."""
        before: list[Tensor] = []
        gradients: list[Tensor] = []

        def parameters(optimiser: torch.optim.Optimizer) -> list[Tensor]:
            return [w for group in optimiser.param_groups for w in group["params"]]

        def keep(optimiser, *_) -> None:
            if before:
                gradients.extend(w.grad.float().flatten().cpu() for w in parameters(optimiser) if w.grad is not None)
            else:
                before.extend(w.detach().clone() for w in parameters(optimiser))

        @torch.no_grad()
        def change(optimiser, *_) -> None:
            generator, lora = torch.Generator().manual_seed(0), len(optimiser.param_groups[0]["params"])
            for k, (w, old) in enumerate(zip(parameters(optimiser), before, strict=True)):
                noise = 0.2 * w.shape[1] ** -0.5 * torch.randn(w.shape, generator=generator)
                w.copy_(noise if k < lora else old)

        dataset, _ = self.dataset(pixels)
        listener = Listener(self.setup.device)
        given = stage, replace(configuration, cap=None), dataset, listener, self.theta1(stage)
        hooks = register_optimizer_step_pre_hook(keep), register_optimizer_step_post_hook(change)
        try:
            traces = self.run(*given, frozenset([2]), steps=2, batch=2, clip=0.0, weight_decay=0.0).traces
        finally:
            for hook in hooks:
                hook.remove()
        return Observation(traces[2], torch.cat(gradients), listener.dtype)


def compare(found: Observation, plain: Observation, direction: Direction | None = None) -> dict[str, float]:
    """Measure how far a step is from the plain one; `direction` says whose R(y_tar) the recipe uses.

    Returns:
        "v.…": ‖v − v_plain‖ / ‖v_plain‖ of every velocity; "direction": the same of R(y_tar); "scale": the largest
        |λ − λ_plain| over the samples; "gradient": the cosine of the gradients. What a recipe lacks is left out.
    """
    out = {k: _error(found.tensors[k], v) for k, v in plain.tensors.items() if k.startswith("v.")}
    if direction is not None:
        branch = {"theta1": "extractor", "theta2": "learner", "base": "base"}[direction]
        pair = f"v.{branch}.target", f"v.{branch}.empty"
        out["direction"] = _error(*(o.tensors[pair[0]] - o.tensors[pair[1]] for o in (found, plain)))
    if "lambda" in plain.tensors:
        out["scale"] = float((found.tensors["lambda"] - plain.tensors["lambda"]).abs().max())
    return out | {"gradient": float(F.cosine_similarity(found.gradient.double(), plain.gradient.double(), dim=0))}


def _error(found: Tensor, plain: Tensor) -> float:
    return float((found - plain).double().norm() / plain.double().norm())
