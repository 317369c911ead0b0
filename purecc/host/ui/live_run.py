"""Publish the state of a training run, and accept requests to it."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

from ...training.history import Step
from ..messages import Message, Phase
from .phases import Phases
from .run_state import PREPARING, RUNNING, About, RunState
from .samples import Sample, Samples
from .step_rows import COLUMNS, StepRows

Send = Callable[[dict[str, Any]], None]
Memory = Callable[[], tuple[int, int]]


class LiveRun:
    """A training run as the browser sees it. Every method may be called from any thread.

    Args:
        about: the run.
        send: takes the changes, as `state` returns them. Steps are sent at most every `interval` seconds; every other
            change is sent at once.
        memory: returns bytes (used, total) of the device.
        interval: seconds.
        most_samples: see `Samples`.
    """

    def __init__(
        self,
        about: About,
        send: Send = lambda state: None,
        memory: Memory | None = None,
        interval: float = 0.25,
        most_samples: int = 120,
    ):
        self.id = secrets.token_urlsafe(16)
        self.about = about
        self._lock = threading.RLock()
        self._state = RunState(about)
        self._rows = StepRows(about.total)
        self._samples = Samples(most_samples)
        self._phases = Phases()
        self._send, self._memory, self._interval = send, memory, interval
        self._sent, self._sent_at = (0, 0), 0.0

    # Reports of the run

    def phase(self, phase: Phase, **values: Any) -> None:
        """Report a phase before the first step; the values fill its text."""
        with self._lock:
            self._state.text = Message(phase.value, values)
            self._phases.begin(self._state.text)
            self._publish()

    def resumed(self, steps: Sequence[Step], total: int) -> None:
        """Report a run that goes on after these steps, and how many it will have in all."""
        with self._lock:
            self.about = replace(self.about, total=total)
            self._rows = StepRows(total)
            for step in steps:
                self._rows.add(step)
            self._publish()

    def step(self, step: Step) -> None:
        """Report a finished step."""
        with self._lock:
            self._rows.add(step)
            first = self._state.state != RUNNING
            self._state.state, self._state.text = RUNNING, ""
            self._publish(at_once=first)

    def sample(self, samples: Sequence[Sample]) -> None:
        """Report new samples."""
        with self._lock:
            self._samples.add(samples)
            self._publish()

    def masks(self, jpeg: bytes) -> None:
        """Report an image of the masks."""
        with self._lock:
            self._samples.masks = jpeg
            self._publish()

    def saved(self, name: str) -> None:
        """Report an adapter that was saved while training goes on."""
        with self._lock:
            self._state.saved = [*(s for s in self._state.saved if s != name), name]
            self._publish()

    def gone(self, name: str) -> None:
        """Report a saved adapter that was deleted."""
        with self._lock:
            self._state.saved = [s for s in self._state.saved if s != name]

    def best(self, **what: Any) -> None:
        """Report the best adapter so far: name, step, loss (smoothed concept loss), drift and its bound."""
        with self._lock:
            self._state.best = what
            self._publish()

    def note(self, message: Message, topic: str | None = None) -> None:
        """Report a note for the user; it stays until a later note has the same topic."""
        with self._lock:
            self._state.note(message, topic)
            self._publish()

    def end(self, state: str, text: str = "", prompt: str = "") -> None:
        """Report one of ENDS, and the error of a failed run, or a prompt for the adapter of another."""
        with self._lock:
            self._state.state, self._state.text, self._state.prompt = state, text, prompt
            self._state.asked.clear()
            self._publish()

    # Requests and state

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return self._state.ended

    @property
    def size(self) -> int:
        """Bytes of its samples."""
        with self._lock:
            return self._samples.size

    def drop_samples(self) -> None:
        """Free the memory of the samples."""
        with self._lock:
            self._samples.clear()

    def request(self, what: str) -> None:
        """Ask for one of REQUESTS.

        Raises:
            RequestRefused: see `RunState.request`.
        """
        with self._lock:
            self._state.request(what)
            self._publish()

    def ask_prompts(self, prompts: Sequence[str]) -> None:
        """Ask for samples of these prompts, after the current step and from then on; none: of the first caption.

        Raises:
            RequestRefused: see `RunState.request`.
        """
        with self._lock:
            self._state.request("sample")
            self._state.sample_prompts = tuple(prompts)
            self._publish()

    def prompts_asked(self) -> tuple[str, ...] | None:
        """Return the prompts that were asked for, once; None: no others."""
        with self._lock:
            prompts, self._state.sample_prompts = self._state.sample_prompts, None
            return prompts

    def granted(self, *whats: str) -> set[str]:
        """Return which of these requests are pending; all but a stop are returned once."""
        with self._lock:
            return self._state.grant(*whats)

    def head(self) -> dict[str, Any]:
        """Return everything but the history.

        "phases" are those before the first step, while it has not come; "kept" the samples that still exist.
        """
        with self._lock:
            return {
                "id": self.id,
                **asdict(self.about),
                "columns": list(COLUMNS),
                **self._state.as_json(),
                "step": self._rows.number,
                **self._rows.times(self.ended),
                "phases": self._phases.as_json() if self._state.state == PREPARING else [],
                "kept": self._samples.numbers,
                "masks": self._samples.masks is not None,
            }

    def state(self, rows_from: int = 0, samples_from: int = 0) -> dict[str, Any]:
        """Return `head` with the rows and samples from these numbers on."""
        with self._lock:
            rows, samples = self._rows.rows[rows_from:], self._samples.since(samples_from)
            return {**self.head(), "from": rows_from, "rows": rows, "samples_from": samples_from, "samples": samples}

    def picture(self, number: int, which: str) -> bytes | None:
        """Return a JPEG, see `Samples.picture`; None where there is none."""
        with self._lock:
            return self._samples.picture(number, which)

    def latest(self) -> Sample | None:
        """Return the first prompt's latest sample; None where there is none."""
        with self._lock:
            return self._samples.latest()

    def _publish(self, at_once: bool = True) -> None:
        now = time.monotonic()
        if not at_once and now - self._sent_at < self._interval:
            return
        self._state.memory = self._memory() if self._memory else None
        self._send(self.state(*self._sent))
        self._sent, self._sent_at = (len(self._rows.rows), self._samples.count), now
