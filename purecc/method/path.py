"""The noise path: how data become noise, what a model predicts there, and at which times it is trained."""

# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from .precision import per_sample, widest


def interpolate(x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
    """Return x_t = (1 - t) x0 + t x1, (1), for t of shape [B]."""
    x0, x1, t = widest(x0, x1, t)
    t = per_sample(t, x0)
    return (1 - t) * x0 + t * x1


def target_velocity(x0: Tensor, x1: Tensor) -> Tensor:
    """Return v = x1 - x0, (2)."""
    x0, x1 = widest(x0, x1)
    return x1 - x0


def sample_timesteps(
    n: int,
    generator: torch.Generator,
    density: str = "logit_normal",
    mean: float = 0.0,
    std: float = 1.0,
    shift: float = 1.0,
) -> Tensor:
    """Return n random times in the open interval (0, 1), float32 on the CPU.

    Args:
        n: how many.
        generator: a CPU generator, so that the same seed gives the same times on every device.
        density: "logit_normal" (t = sigmoid(mean + std z), z ~ N(0, 1)) or "uniform".
        mean: of the logit, for "logit_normal".
        std: of the logit, for "logit_normal"; above 0.
        shift: s in t' = s t / (1 + (s - 1) t); above 1 moves the times towards noise, 1 leaves them.

    Raises:
        ValueError: an unknown density, or std or shift not above 0.
    """
    if not shift > 0:
        raise ValueError(f"shift is {shift}: it must be above 0 (1 leaves the timesteps as they are).")
    if density == "logit_normal":
        if not std > 0:
            raise ValueError(f"std is {std}: the logit-normal density needs one above 0.")
        t = torch.sigmoid(mean + std * torch.randn(n, generator=generator, dtype=torch.float64))
    elif density == "uniform":
        t = torch.rand(n, generator=generator, dtype=torch.float64)
    else:
        raise ValueError(f"Unknown timestep density {density!r}: use 'logit_normal' or 'uniform'.")
    t = shift * t / (1 + (shift - 1) * t)
    margin = torch.finfo(torch.float32).eps
    return t.float().clamp(margin, 1 - margin)


NATIVE, MIN_SNR = "native", "min-SNR"
WEIGHTINGS = (NATIVE, MIN_SNR)
"""Loss weights: that of what the network predicts, or min-SNR's (arXiv 2303.09556)."""

GAMMA = 5.0
"""γ of min-SNR weighting, the value of its paper."""


class NoisePath(ABC):
    """At which times a kind of model is trained and sampled, and how its loss is weighted.

    All kinds share x_t = (1 - t) x0 + t x1, (1), and v = x1 - x0, (2), whatever the network itself predicts: from its
    prediction x̂0 of the data, v = (x_t - x̂0) / t.
    """

    @abstractmethod
    def sample_times(self, n: int, generator: torch.Generator, density: str, shift: float | None) -> Tensor:
        """Return n times at random, [n] float32 on the CPU.

        Args:
            n: how many.
            generator: a CPU generator.
            density: "logit_normal" or "uniform"; see `sample_timesteps`.
            shift: s of `sample_timesteps`; None: the model's own.
        """

    @abstractmethod
    def gain(self, t: Tensor) -> Tensor:
        """Return the root of the loss weight at t, [B]: velocities are multiplied by it before they are compared."""

    @abstractmethod
    def steps(self, count: int) -> Tensor:
        """Return the times of a sampler with so many steps, [count + 1], falling to 0."""

    def weighing(self, weighting: str) -> NoisePath:
        """Return the same path with another loss weight.

        Args:
            weighting: a member of `WEIGHTINGS`.

        Raises:
            ValueError: there is no such weight, or this kind of model has none but its native one.
        """
        if weighting not in WEIGHTINGS:
            raise ValueError(f"loss_weighting is {weighting!r}: choose one of {', '.join(WEIGHTINGS)}.")
        if weighting != NATIVE:
            raise ValueError(
                f"loss_weighting is {weighting!r}, but the model predicts a velocity, whose loss has one weight at all "
                f"times. Set loss_weighting to {NATIVE!r}."
            )
        return self


@dataclass(frozen=True)
class FlowPath(NoisePath):
    """The path of a flow model, which predicts the velocity itself.

    Attributes:
        shift: s of its own schedule, see `sample_timesteps`.
    """

    shift: float = 3.0

    def sample_times(self, n: int, generator: torch.Generator, density: str, shift: float | None) -> Tensor:
        """Return n times of that density, shifted."""
        return sample_timesteps(n, generator, density=density, shift=self.shift if shift is None else shift)

    def gain(self, t: Tensor) -> Tensor:
        """Return 1: the loss is on the velocity."""
        return torch.ones_like(t)

    def steps(self, count: int) -> Tensor:
        """Return times evenly spaced before the shift, from 1 to 0."""
        t = torch.linspace(1.0, 0.0, count + 1)
        return self.shift * t / (1.0 + (self.shift - 1.0) * t)


@dataclass(frozen=True, eq=False)
class SigmaPath(NoisePath):
    """The path of a model with x = x0 + sigma x1, which predicts ε, or v of its own (v-prediction).

    sigma = t / (1 - t). The native loss is on what the network predicts: (1 - t)² |Δv|² for ε and, with d for
    sigma_data, ((1 - t)² + t² / d²) |Δv|² for v-prediction and EDM.

    Min-SNR weighting (arXiv 2303.09556), with SNR = d² / sigma², multiplies the native loss by min(SNR, γ) / SNR for ε
    and by min(SNR, γ) / (SNR + 1) for v-prediction and EDM. Both are min((1 - t)², γ t² / d²) |Δv|².

    Attributes:
        sigmas: of the training schedule, rising, [S].
        predicts: "eps", "v" (v-prediction and EDM), or "velocity" (2).
        sigma_data: of v-prediction and EDM; 1 for ε.
        min_snr: γ of min-SNR weighting; None: the native weight.
    """

    sigmas: Tensor
    predicts: Literal["eps", "v", "velocity"] = "eps"
    sigma_data: float = 1.0
    min_snr: float | None = None

    def sample_times(self, n: int, generator: torch.Generator, density: str, shift: float | None) -> Tensor:
        """Return times of sigmas drawn evenly from the schedule; density and shift are those of flow models."""
        index = torch.randint(len(self.sigmas), (n,), generator=generator)
        sigma = self.sigmas.double().cpu()[index]
        return (sigma / (1.0 + sigma)).float()

    def gain(self, t: Tensor) -> Tensor:
        """Return the root of the native weight, or of min-SNR's."""
        if self.predicts == "velocity":
            return torch.ones_like(t)
        weight, noise = (1 - t).square(), (t / self.sigma_data).square()
        if self.min_snr is not None:
            weight = torch.minimum(weight, self.min_snr * noise)
        elif self.predicts == "v":
            weight = weight + noise
        return weight.sqrt()

    def weighing(self, weighting: str) -> NoisePath:
        """Return the path with the native weight or min-SNR's; see NoisePath."""
        if self.predicts == "velocity" or weighting not in WEIGHTINGS:
            return super().weighing(weighting)
        return replace(self, min_snr=GAMMA if weighting == MIN_SNR else None)

    def steps(self, count: int) -> Tensor:
        """Return the times of sigmas evenly spaced in the schedule, from the largest to the smallest, then 0."""
        index = torch.linspace(len(self.sigmas) - 1, 0, count).round().long()
        sigma = self.sigmas.cpu()[index]
        return torch.cat([sigma / (1.0 + sigma), torch.zeros(1)])
