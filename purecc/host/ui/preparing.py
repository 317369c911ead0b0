"""Tell the browser how far a dataset is, for the panels of the training nodes that wait for it."""

from __future__ import annotations

import time

from ..messages import Message
from .events import send
from .phases import Phases

INTERVAL = 0.25
"""Least seconds between two events of a phase."""


class Preparing:
    """The phases of a node that makes a dataset, as events "purecc.preparing": {node, workflow, phases}.

    See `Phases.as_json`.

    Args:
        node_id: the node, as the host executes it.
        workflow: id of its workflow, where the front end sent one.
    """

    def __init__(self, node_id: str | None, workflow: str | None = None):
        self._of, self._phases = {"node": node_id, "workflow": workflow}, Phases()
        self._sent, self._key = 0.0, ""

    def image(self, key: str, number: int, count: int) -> None:
        """Tell that an image is begun, in a phase by the key of its text."""
        self._phases.begin(Message(key, {"number": number, "count": count}))
        if key != self._key or time.monotonic() - self._sent >= INTERVAL:
            self._send()
        self._key = key

    def end(self) -> None:
        """Tell that the dataset is there."""
        self._phases.end()
        self._send()

    def _send(self) -> None:
        self._sent = time.monotonic()
        send("purecc.preparing", {**self._of, "phases": self._phases.as_json()})
