"""Keep the steps of a run as rows of numbers, and compute its pace."""

from __future__ import annotations

from collections import deque

from ...training.history import Smooth, Step

COLUMNS = ("step", "loss", "smooth", "lr", "drift", "lower", "median", "upper")
"""Columns of a row. "lower", "median" and "upper" are quartiles of λ over the batch; a missing value is None."""

PACE_STEPS = 20
"""Latest steps over which the pace is averaged."""


class StepRows:
    """A row for each finished step.

    Args:
        total: steps of the run.
    """

    def __init__(self, total: int):
        self.rows: list[list[float | None]] = []
        self._total = total
        self._smooth = Smooth()
        self._clock: deque[float] = deque([0.0], maxlen=PACE_STEPS + 1)
        self._left = 0.0

    def add(self, step: Step) -> None:
        """Append a finished step."""
        loss, quartiles = step.losses["total"], step.quartiles or (None, None, None)
        self.rows.append([step.number, loss, self._smooth(loss), step.lr, step.drift, *quartiles])
        self._clock.append(step.seconds)
        self._left = step.left(self._total)

    @property
    def number(self) -> int:
        """Number of the latest step; 0 before the first."""
        return int(self.rows[-1][0] or 0) if self.rows else 0

    def times(self, ended: bool) -> dict[str, float | None]:
        """Return "pace" (seconds per step, over the latest), "left" and "seconds" (of all steps).

        Each is None before the first step. "left" is None for a run that has ended.
        """
        if not self.rows:
            return {"pace": None, "left": None, "seconds": None}
        pace = (self._clock[-1] - self._clock[0]) / (len(self._clock) - 1)
        return {"pace": pace, "left": None if ended else self._left, "seconds": self._clock[-1]}
