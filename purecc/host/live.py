"""What the training runs of this server session have to show, for whoever asks, from any thread."""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass

from ..curves import Smooth
from ..history import Step

COLUMNS = ("step", "loss", "smooth", "lr", "drift", "lower", "median", "upper")
"""Of a row of a run's history, one a step; lower and upper are the quartiles of λ, and None is what there is not."""

PREPARING, RUNNING = "preparing", "running"
FINISHED, STOPPED, CANCELLED, FAILED = ENDS = ("finished", "stopped", "cancelled", "failed")

WISHES = ("stop", "sample", "save")


class Refused(Exception):
    """A wish that a run cannot grant; the message says why."""


@dataclass(frozen=True)
class About:
    """What a run is.

    Attributes:
        node: id of the node that runs it, as the host executes it.
        workflow: id of the workflow that the node is in, where the front end sent one.
        title: of the run, such as "pure learning".
        name: of what is trained.
        total: steps.
        can_sample: whether there is a VAE to draw samples with.
    """

    node: str | None
    workflow: str | None
    title: str
    name: str
    total: int
    can_sample: bool


@dataclass(frozen=True)
class Sample:
    """A picture of the model in training, the base's beside it; JPEG."""

    step: int
    prompt: str
    seed: int
    base: bytes
    current: bytes


class LiveRun:
    """A run as others see it. Every method may be called from any thread.

    Args:
        about: what it is.
        send: takes what is new, a dict as `state` gives it; called at most every `interval` seconds but for changes
            other than steps.
        memory: bytes (used, total) of the device.
        interval: seconds.
        most_samples: when there are more, steps between the first and the latest go; those of these two stay.
    """

    def __init__(
        self,
        about: About,
        send: Callable[[dict], None] = lambda state: None,
        memory: Callable[[], tuple[int, int]] | None = None,
        interval: float = 0.25,
        most_samples: int = 120,
    ):
        self.id = secrets.token_urlsafe(16)
        self.about = about
        self._send, self._measure, self._interval = send, memory, interval
        self._lock = threading.RLock()
        self._rows: list[list] = []
        self._smooth = Smooth()
        self._clock: deque[float] = deque([0.0], maxlen=21)
        self._samples: list[tuple[int, Sample]] = []
        self._most_samples, self._drawn = most_samples, 0
        self._told = (0, 0)
        self._told_at = 0.0
        self._state, self._text, self._left = PREPARING, "", None
        self._notes: dict[str, str] = {}
        self._memory: tuple[int, int] | None = None
        self._asked: set[str] = set()
        self._saved: list[str] = []
        self._best: dict | None = None

    # What the run tells

    def say(self, text: str) -> None:
        """What is being done before the first step."""
        with self._lock:
            self._text = text
            self._publish()

    def step(self, step: Step) -> None:
        """A finished step."""
        with self._lock:
            loss, quartiles = step.losses["total"], step.quartiles or (None, None, None)
            self._rows.append([step.number, loss, self._smooth(loss), step.lr, step.drift, *quartiles])
            self._clock.append(step.seconds)
            self._left = step.left(self.about.total)
            changed = self._state != RUNNING
            self._state, self._text = RUNNING, ""
            self._publish(at_once=changed)

    def sample(self, samples: list[Sample]) -> None:
        """Pictures that were drawn."""
        with self._lock:
            for sample in samples:
                self._samples.append((self._drawn, sample))
                self._drawn += 1
            self._thin()
            self._publish()

    def saved(self, name: str) -> None:
        """An adapter of the moment that was written."""
        with self._lock:
            self._saved = [*(s for s in self._saved if s != name), name]
            self._publish()

    def gone(self, name: str) -> None:
        """One that was deleted again."""
        with self._lock:
            self._saved = [s for s in self._saved if s != name]

    def best(self, **what) -> None:
        """The best so far: its name, step, smoothed concept loss, drift, and the bound on drift."""
        with self._lock:
            self._best = what
            self._publish()

    def note(self, text: str, topic: str | None = None) -> None:
        """What the user should know, such as what went wrong without ending the run.

        Args:
            text: a line; beside those that were told before.
            topic: what it is about, if later news take its place.
        """
        with self._lock:
            self._notes[topic or text] = text
            self._publish()

    def end(self, state: str, text: str = "") -> None:
        """One of ENDS, and why."""
        with self._lock:
            self._state, self._text = state, text
            self._asked.clear()
            self._publish()

    def forget(self) -> None:
        """Lets go of the samples."""
        with self._lock:
            self._samples = []

    # What others ask

    @property
    def size(self) -> int:
        """Bytes of its samples; the base's are the same at every step."""
        with self._lock:
            return sum(map(len, {picture for _, s in self._samples for picture in (s.base, s.current)}))

    @property
    def ended(self) -> bool:
        """Whether it runs no more."""
        return self._state in ENDS

    def wish(self, what: str) -> None:
        """Asks for one of WISHES.

        Raises:
            Refused: it has ended, has no VAE to draw with, or has nothing to keep before its first step.
        """
        with self._lock:
            if self.ended:
                raise Refused(f"This run is {self._state}.")
            if what == "stop" and not self._can_stop:
                raise Refused("Nothing is learned before the first step: cancel it instead.")
            if what == "sample" and not self.about.can_sample:
                raise Refused("There is no VAE to draw samples with: connect one to the node.")
            self._asked.add(what)
            self._publish()

    def granted(self, *whats: str) -> set[str]:
        """Which of these were asked for; they are no longer, but for a stop."""
        with self._lock:
            asked = self._asked & set(whats)
            self._asked -= asked - {"stop"}
            return asked

    def head(self) -> dict:
        """All but the history: what a list shows; kept are the numbers of the samples that are still there."""
        with self._lock:
            return {
                "id": self.id,
                **asdict(self.about),
                "columns": list(COLUMNS),
                "state": self._state,
                "ended": self.ended,
                "text": self._text,
                "note": "\n".join(self._notes.values()),
                "can_stop": self._can_stop,
                "step": self._rows[-1][0] if self._rows else 0,
                **self._times(),
                "memory": self._memory,
                "asked": sorted(self._asked),
                "saved": self._saved,
                "best": self._best,
                "kept": [k for k, _ in self._samples],
            }

    def state(self, rows_from: int = 0, samples_from: int = 0) -> dict:
        """Everything, or what was added since: `head`, "rows" from that one on, "samples" from that number on."""
        with self._lock:
            samples = [
                {"number": k, "step": s.step, "prompt": s.prompt, "seed": s.seed}
                for k, s in self._samples
                if k >= samples_from
            ]
            rows = self._rows[rows_from:]
            return {**self.head(), "from": rows_from, "rows": rows, "samples_from": samples_from, "samples": samples}

    def picture(self, number: int, which: str) -> bytes | None:
        """The JPEG "base" or "current" of a sample; None if there is none (any more)."""
        with self._lock:
            found = next((s for k, s in self._samples if k == number), None)
        return None if found is None else {"base": found.base, "current": found.current}.get(which)

    @property
    def _can_stop(self) -> bool:
        return self._state == RUNNING

    def _times(self) -> dict:
        """Seconds a step, of the latest; seconds left, at the pace of the whole run; seconds that all steps took."""
        if not self._rows:
            return {"pace": None, "left": None, "seconds": None}
        pace = (self._clock[-1] - self._clock[0]) / (len(self._clock) - 1)
        return {"pace": pace, "left": None if self.ended else self._left, "seconds": self._clock[-1]}

    def _thin(self) -> None:
        """Drops the step that leaves the smallest gap, again and again, so that the others stay evenly spread."""
        steps = sorted({s.step for _, s in self._samples})
        while len(self._samples) > self._most_samples and len(steps) > 2:
            gone = steps.pop(min(range(1, len(steps) - 1), key=lambda k: steps[k + 1] - steps[k - 1]))
            self._samples = [(k, s) for k, s in self._samples if s.step != gone]

    def _publish(self, at_once: bool = True) -> None:
        now = time.monotonic()
        if not at_once and now - self._told_at < self._interval:
            return
        self._memory = self._measure() if self._measure else None
        self._send(self.state(*self._told))
        self._told, self._told_at = (len(self._rows), self._drawn), now


class Runs:
    """The runs of this session: those that run, and the last that have ended.

    Args:
        most: ended runs that are kept.
        most_bytes: of their samples; the oldest runs go on without.
    """

    def __init__(self, most: int = 100, most_bytes: int = 2**28):
        self._most, self._most_bytes, self._lock = most, most_bytes, threading.Lock()
        self._runs: dict[str, LiveRun] = {}

    def add(self, run: LiveRun) -> None:
        """A new run; it takes the place of an ended one of the same node."""
        where = run.about.workflow, run.about.node
        with self._lock:
            ended = [r for r in self._runs.values() if r.ended]
            gone = [r for r in ended if (r.about.workflow, r.about.node) == where]
            kept = [r for r in ended if r not in gone]
            for old in gone + kept[: max(0, len(kept) - self._most)]:
                del self._runs[old.id]
            room = self._most_bytes
            for old in reversed(kept):
                room -= old.size
                if room < 0:
                    old.forget()
            self._runs[run.id] = run

    def get(self, identity: str) -> LiveRun | None:
        """The run of that id."""
        with self._lock:
            return self._runs.get(identity)

    def all(self) -> list[LiveRun]:
        """The oldest first."""
        with self._lock:
            return list(self._runs.values())


RUNS = Runs()
"""Of this server."""
