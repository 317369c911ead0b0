"""The mean of the trained weights over the steps of a run: what it is watched by, and what it leaves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

POWER = 5.0
"""γ: step n of N weighs as (n / N)^γ, so that the mean lags a seventh of the run behind, however long that is."""


class Average:
    """A mean of parameters over their steps that forgets in proportion to the steps so far.

    A rate that learns fast also throws the weights about; their mean is calmer, and guidance multiplies what is left.

    Args:
        parameters: as they begin; they are not changed, except by `in_place` and `settle`.

    Attributes:
        values: the mean, in the parameters' order.

    Source: the power-function average of EDM2 (arXiv 2312.02696, section 3.1).
    """

    def __init__(self, parameters: Sequence[nn.Parameter]):
        self._parameters = parameters
        self.values: list[Tensor] = [p.detach().clone() for p in parameters]

    @torch.no_grad()
    def add(self, step: int) -> None:
        """Take in the parameters as they are after a step, whose number starts at 1."""
        share = 1 - (1 - 1 / step) ** (POWER + 1)
        for k, p in enumerate(self._parameters):
            self.values[k] = self.values[k].to(p.device).lerp_(p, share)  # the host may have moved the model meanwhile

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Have the parameters be the mean inside."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def settle(self) -> None:
        """Have the parameters be the mean from now on."""
        for value, p in zip(self.values, self._parameters, strict=True):
            p.copy_(value)

    @torch.no_grad()
    def load(self, values: Sequence[Tensor]) -> None:
        """Go on from a mean, each tensor in any shape."""
        for value, given in zip(self.values, values, strict=True):
            value.copy_(given.view_as(value))

    def _swap(self) -> None:
        for k, p in enumerate(self._parameters):
            p.data, self.values[k] = self.values[k], p.data
