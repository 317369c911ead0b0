"""Give the noise path of a MODEL, and convert to the host's own parameterisation."""

# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import math
from typing import Any, Literal

import comfy.model_sampling as host
from torch import Tensor

from ...method.path import FlowPath, NoisePath, SigmaPath

PREDICTIONS: dict[type, Literal["eps", "v", "velocity"] | None] = {
    host.X0: None,
    host.COSMOS_RFLOW: "velocity",
    host.V_PREDICTION: "v",
    host.EPS: "eps",
}
"""What a network predicts, by the host's class, subclasses before their bases; None cannot be trained."""


def noise_path(sampling: Any) -> NoisePath:
    """Return the path of a model, by the host's `model_sampling`.

    Raises:
        ValueError: the model predicts neither a velocity nor ε or v.
    """
    if isinstance(sampling, host.CONST) and not isinstance(sampling, host.IMG_TO_IMG_FLOW):
        if isinstance(sampling, host.ModelSamplingFlux):
            return FlowPath(math.exp(sampling.shift))
        return FlowPath(float(getattr(sampling, "shift", 1.0)))
    predicts = next((kind for cls, kind in PREDICTIONS.items() if isinstance(sampling, cls)), None)
    if predicts is None:
        kinds = " and ".join(cls.__name__ for cls in type(sampling).__bases__)
        raise ValueError(f"The model's prediction ({kinds}) cannot be trained here. Load a text-to-image model.")
    return SigmaPath(sampling.sigmas.detach().float().cpu(), predicts, float(getattr(sampling, "sigma_data", 1.0)))


def to_host(sampling: Any, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Return the host's x and sigma for x_t [B, ...] and t [B].

    They are the same for flow models, else x_t / (1 - t) and t / (1 - t).
    """
    if isinstance(sampling, host.CONST):
        return x_t, t
    return x_t / (1 - t).view(-1, *[1] * (x_t.ndim - 1)), t / (1 - t)
