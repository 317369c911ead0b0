"""Define the listener of a run and the requests that steer it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ...adapters.files import Adapter
from ...training.dataset import ConceptDataset
from ...training.history import Step
from ...training.previews import Preview
from ..messages import Message, Phase


class OnPhase(Protocol):
    """Is told what a run does before its steps; an exception from it ends the run."""

    def __call__(self, phase: Phase, **values: object) -> None:
        """Take a phase and the values of its text."""
        ...


def unheard(phase: Phase, **values: object) -> None:
    """Take a phase of which nobody wants to know."""


class Listener(Protocol):
    """Is told of a run; an exception from it ends the run."""

    def phase(self, phase: Phase, **values: object) -> None:
        """Take what the run does now, before its steps, with the values of its text."""
        ...

    def note(self, message: Message, topic: str | None = None) -> None:
        """Take what the user should know of the run; a later note replaces an earlier one on the same topic."""
        ...

    def masks(self, dataset: ConceptDataset) -> None:
        """Take the references with the masks that training uses, before the first step; not called without masks."""
        ...

    def resumed(self, steps: Sequence[Step], total: int) -> None:
        """Take the steps of a run that goes on, before its next step, and the steps it will have in all."""
        ...

    def step(self, step: Step, previews: Sequence[Preview] | None) -> None:
        """Take a finished step, with the samples where some were made, as latents that the VAE decodes."""
        ...


@dataclass(frozen=True)
class Requests:
    """What the user asks of a run.

    Attributes:
        stop: end with this step and keep the adapter.
        sample: make the samples now.
        prompts: of the samples from now on, with [v] for the concept; None: as before.
    """

    stop: bool = False
    sample: bool = False
    prompts: tuple[str, ...] | None = None


class Steering(Protocol):
    """Steers a run, in the thread that trains; an exception from it ends the run."""

    def requests(self) -> Requests:
        """Return the user's requests; called once after every step, and a sample is then granted."""
        ...

    def keep(self, step: Step, adapter: Callable[[str], Adapter]) -> None:
        """Take a finished step, and a function that gives the adapter of this moment under a name."""
        ...


class Unsteered:
    """Lets a run go on to its last step."""

    def requests(self) -> Requests:
        """Return none."""
        return Requests()

    def keep(self, step: Step, adapter: Callable[[str], Adapter]) -> None:
        """Keep nothing."""
