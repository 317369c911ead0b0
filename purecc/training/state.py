"""The state of a run between two steps: everything that the next step depends on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from .dataset import Batches
from .history import History, Step
from .optimiser import Optimiser


@dataclass(frozen=True)
class Draws:
    """Where the random draws of a run are.

    Attributes:
        generator: state of the CPU generator of noise, times and order.
        queues: of each stream of batches, for each of its buckets, the items still to come.
    """

    generator: Tensor
    queues: list[list[list[int]]]

    @classmethod
    def of(cls, generator: torch.Generator, streams: Sequence[Batches]) -> Draws:
        """Return the draws as they are now."""
        return cls(generator.get_state(), [stream.queues() for stream in streams])

    def restore(self, generator: torch.Generator, streams: Sequence[Batches]) -> None:
        """Put a generator and streams where they were.

        Raises:
            ValueError: the streams are of other items.
        """
        if len(self.queues) != len(streams):
            raise ValueError(f"The state has {len(self.queues)} streams of images, and this run has {len(streams)}.")
        generator.set_state(self.generator)
        for stream, queues in zip(streams, self.queues, strict=True):
            stream.restore(queues)


@dataclass(frozen=True)
class LoopState:
    """A run after its latest finished step.

    Attributes:
        learned: weights, moments and step counts, see `Optimiser.export`.
        draws: where the random draws are.
        history: all finished steps.
        pass_limit: see `train`.
        observed: whether `Callbacks.on_step` has been through with the latest step.
    """

    learned: dict[str, Tensor]
    draws: Draws
    history: History
    pass_limit: int | None = None
    observed: bool = True

    @property
    def step(self) -> int:
        """Number of the latest finished step."""
        return len(self.history.steps)

    @property
    def seen(self) -> list[Step]:
        """The finished steps that `Callbacks.on_step` has been through with."""
        return self.history.steps if self.observed else self.history.steps[:-1]


Capture = Callable[[], LoopState]


class Keeper(Protocol):
    """Keeps the states of a run, so that it can go on later."""

    def after(self, capture: Capture) -> None:
        """Take a finished step, with a function that gives the state."""
        ...

    def broken(self, capture: Capture, error: BaseException) -> None:
        """Take an error that ends the run, with a function that gives the state after the latest finished step."""
        ...

    def ended(self, capture: Capture) -> None:
        """Take the end of the run, after its last step or where it was stopped."""
        ...


class KeepsNothing:
    """Keeps no state."""

    def after(self, capture: Capture) -> None:
        """Keep nothing."""

    def broken(self, capture: Capture, error: BaseException) -> None:
        """Keep nothing."""

    def ended(self, capture: Capture) -> None:
        """Keep nothing."""


@dataclass
class Moment:
    """The moving parts of a run, of which a state can be taken at any time, also in the middle of a step.

    Attributes:
        optimiser: with the weights; both change only when a step is complete.
        generator: of all draws.
        streams: of batches.
        history: of the finished steps.
        pass_limit: see `train`.
        observed: see `LoopState`.
        draws: where the draws were after the latest finished step.
    """

    optimiser: Optimiser
    generator: torch.Generator
    streams: Sequence[Batches]
    history: History = field(default_factory=History)
    pass_limit: int | None = None
    observed: bool = True
    draws: Draws | None = None

    def mark(self) -> None:
        """Remember the draws: a step is complete."""
        self.draws = Draws.of(self.generator, self.streams)

    def capture(self) -> LoopState:
        """Return the state after the latest finished step."""
        assert self.draws is not None, "no step is marked"
        history = self.history.copy()
        return LoopState(self.optimiser.export(), self.draws, history, self.pass_limit, self.observed)

    def restore(self, state: LoopState) -> None:
        """Go back to a state.

        Raises:
            ValueError: it does not fit.
        """
        state.draws.restore(self.generator, self.streams)
        self.optimiser.load(state.learned)
        self.history, self.pass_limit, self.observed = state.history.copy(), state.pass_limit, state.observed
