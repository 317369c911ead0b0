"""Time what is done before the first step of a run."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ..messages import Message


class Phases:
    """The phases so far, each with its seconds, and what is left of the one that goes on.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._done: list[tuple[Message, float]] = []
        self._now: Message | None = None
        self._began, self._first = 0.0, 1

    def begin(self, phase: Message) -> None:
        """Go on with a phase: the next one, or the same with other values, such as its "number" of "count"."""
        if self._now is None or self._now.key != phase.key:
            self.end()
            self._began, self._first = self._clock(), phase.values.get("number", 1)
        self._now = phase

    def end(self) -> None:
        """End the phase that goes on."""
        if self._now is not None:
            self._done.append((self._now, self._clock() - self._began))
        self._now = None

    def as_json(self) -> list[dict[str, Any]]:
        """Return the phases as messages with "seconds", None for the one that goes on, and "left", None if unknown."""
        out = [{**phase.as_json(), "seconds": seconds, "left": None} for phase, seconds in self._done]
        if self._now is not None:
            out.append({**self._now.as_json(), "seconds": None, "left": self._left(self._now)})
        return out

    def _left(self, phase: Message) -> float | None:
        number, count = phase.values.get("number"), phase.values.get("count")
        if number is None or count is None or number <= self._first:
            return None
        return (self._clock() - self._began) / (number - self._first) * (count - number + 1)
