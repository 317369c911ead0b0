"""The history of a run: losses, λ, rates, times and drift of its steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch


@dataclass(frozen=True)
class Step:
    """A finished step.

    Attributes:
        number: from 1.
        losses: mean over the batch of the total and of each part.
        scales: λ of every sample of the step; empty where the recipe has none.
        lr: the LoRA's rate.
        seconds: since training began.
        drift: of the model after this step, where the caller measured it.
    """

    number: int
    losses: dict[str, float]
    scales: tuple[float, ...]
    lr: float
    seconds: float
    drift: float | None = None

    def left(self, total: int) -> float:
        """Return the seconds left of so many steps, at the pace of the run so far."""
        return (total - self.number) * self.seconds / self.number

    @property
    def quartiles(self) -> tuple[float, float, float] | None:
        """Quartiles of λ over the samples of the step, the second the median; None where the recipe has no λ."""
        if not self.scales:
            return None
        lower, median, upper = torch.tensor(self.scales, dtype=torch.float64).quantile(_QUARTERS).tolist()
        return lower, median, upper


_QUARTERS = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)


@dataclass
class History:
    """All steps of a run.

    Attributes:
        steps: finished steps in order.
        stopped: whether it was ended before its last step.
        rescued: steps that ran out of memory and were run again with less at once.
        resumed: steps after which the run was broken off and went on from its state.
    """

    steps: list[Step] = field(default_factory=list)
    stopped: bool = False
    rescued: tuple[int, ...] = ()
    resumed: tuple[int, ...] = ()

    def copy(self) -> History:
        """Return the same history, to which steps can be added apart."""
        return replace(self, steps=list(self.steps))

    @property
    def losses(self) -> list[float]:
        """The total of every step."""
        return [s.losses["total"] for s in self.steps]

    @property
    def scales(self) -> list[float]:
        """The median λ of every step; empty where the recipe has none."""
        return [quartiles[1] for s in self.steps if (quartiles := s.quartiles) is not None]

    @property
    def drift(self) -> list[tuple[int, float]]:
        """(step, drift) of every step after which it was measured."""
        return [(s.number, s.drift) for s in self.steps if s.drift is not None]

    @property
    def seconds(self) -> float:
        """Duration of the run so far."""
        return self.steps[-1].seconds if self.steps else 0.0


class Smooth:
    """Exponential moving average of one value after the other, corrected for its start."""

    def __init__(self, weight: float = 0.95):
        self._weight, self._mean, self._count = weight, 0.0, 0

    def __call__(self, value: float) -> float:
        """Return the average with this value in."""
        self._count += 1
        self._mean = self._weight * self._mean + (1.0 - self._weight) * value
        return self._mean / (1.0 - self._weight**self._count)


def smooth(values: Sequence[float], weight: float = 0.95) -> list[float]:
    """Return the moving average at every value."""
    return list(map(Smooth(weight), values))
