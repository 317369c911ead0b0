"""Hold the displayed state of a training run, and its requests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..messages import Message

PREPARING, RUNNING = "preparing", "running"
FINISHED, STOPPED, CANCELLED, FAILED = ENDS = ("finished", "stopped", "cancelled", "failed")

REQUESTS = ("stop", "sample", "save")


class RequestRefused(Exception):
    """A request that a run cannot grant.

    Attributes:
        message: the reason.
    """

    def __init__(self, message: Message):
        super().__init__(str(message))
        self.message = message


@dataclass(frozen=True)
class About:
    """The identity of a run.

    Attributes:
        node: id of the node that runs it, as the host executes it.
        workflow: id of the node's workflow, where the front end sent one.
        title: of the run, such as "pure learning".
        name: of the adapter.
        total: steps.
        can_sample: whether a VAE is connected.
    """

    node: str | None
    workflow: str | None
    title: str
    name: str
    total: int
    can_sample: bool


@dataclass
class RunState:
    """The state of a run, without its steps and samples.

    Attributes:
        about: the run.
        state: PREPARING, RUNNING or one of ENDS.
        text: the phase before the first step, or the error of a failed run.
        notes: notes for the user, by topic.
        asked: pending requests; a stop stays until the end.
        saved: names of the saved adapters.
        best: name, step, loss, drift and bound of the best adapter so far.
        memory: bytes (used, total) of the device.
        prompt: shows the concept, once there is an adapter; empty before, and for an extractor.
        sample_prompts: asked for and not taken yet; None: the samples keep theirs.
    """

    about: About
    state: str = PREPARING
    text: Message | str = ""
    notes: dict[str, Message] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    saved: list[str] = field(default_factory=list)
    best: dict[str, Any] | None = None
    memory: tuple[int, int] | None = None
    prompt: str = ""
    sample_prompts: tuple[str, ...] | None = None

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return self.state in ENDS

    @property
    def can_stop(self) -> bool:
        """Whether there is anything to keep."""
        return self.state == RUNNING

    def note(self, message: Message, topic: str | None = None) -> None:
        """Add a note, or replace the one of the same topic."""
        self.notes[topic or str(message)] = message

    def request(self, what: str) -> None:
        """Add one of REQUESTS to the pending ones.

        Raises:
            RequestRefused: the run has ended, has nothing to keep yet, or has no VAE.
        """
        if self.ended:
            raise RequestRefused(Message("run_ended"))
        if what == "stop" and not self.can_stop:
            raise RequestRefused(Message("no_step"))
        if what == "sample" and not self.about.can_sample:
            raise RequestRefused(Message("no_vae"))
        self.asked.add(what)

    def grant(self, *whats: str) -> set[str]:
        """Return which of these are pending, and remove all but a stop."""
        granted = self.asked & set(whats)
        self.asked -= granted - {"stop"}
        return granted

    def as_json(self) -> dict[str, Any]:
        """Return the state for routes and events.

        "text" and "note" are in English; "message" and "notes" have keys and values for a translation. The "message"
        of a failed run is None: its text is the error's own.
        """
        return {
            "state": self.state,
            "ended": self.ended,
            "text": str(self.text),
            "message": self.text.as_json() if isinstance(self.text, Message) else None,
            "note": "\n".join(map(str, self.notes.values())),
            "notes": [note.as_json() for note in self.notes.values()],
            "can_stop": self.can_stop,
            "memory": self.memory,
            "asked": sorted(self.asked),
            "saved": list(self.saved),
            "best": self.best,
            "prompt": self.prompt,
        }
