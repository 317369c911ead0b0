"""What happened at the steps of a run."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch


@dataclass(frozen=True)
class Step:
    """What a finished step has to tell.

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
        """Seconds that the other steps of so many will take at the pace of the run, which also measures and draws."""
        return (total - self.number) * self.seconds / self.number

    @property
    def quartiles(self) -> tuple[float, float, float] | None:
        """Of λ over the samples of the step; the second is the median. None where the recipe has no λ."""
        if not self.scales:
            return None
        return tuple(torch.tensor(self.scales, dtype=torch.float64).quantile(_QUARTERS).tolist())


_QUARTERS = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)


@dataclass
class History:
    """All steps of a run, and what was measured beside them.

    Attributes:
        steps: finished steps in order.
        stopped: whether it was ended before its last step.
    """

    steps: list[Step] = field(default_factory=list)
    stopped: bool = False

    @property
    def losses(self) -> list[float]:
        """The total of every step."""
        return [s.losses["total"] for s in self.steps]

    @property
    def scales(self) -> list[float]:
        """The median λ of every step; empty where the recipe has none."""
        return [s.quartiles[1] for s in self.steps if s.scales]

    @property
    def drift(self) -> list[tuple[int, float]]:
        """(step, drift) of every step after which it was measured."""
        return [(s.number, s.drift) for s in self.steps if s.drift is not None]

    @property
    def seconds(self) -> float:
        """Of the whole run."""
        return self.steps[-1].seconds if self.steps else 0.0
