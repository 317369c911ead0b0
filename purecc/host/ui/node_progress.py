"""Show progress on the node that works, and raise when the user cancels."""

from __future__ import annotations

from typing import Any

from comfy import model_management
from comfy.utils import ProgressBar
from PIL import Image

from ...training.history import Step
from ..messages import Message, Phase
from .events import say


class NodeProgress:
    """A bar with text on a node. Every method raises the host's interruption when the user has cancelled.

    Args:
        node_id: the node; None shows nothing.
        title: before every line.
        total: parts of the bar.
    """

    def __init__(self, node_id: str | None, title: str, total: int):
        self._bar = ProgressBar(total)
        self._node_id, self._title, self._total = node_id, title, total
        self._done = 0

    def phase(self, phase: Phase, **values: Any) -> None:
        """Show a phase before the steps, in English; the values fill its text."""
        self.say(str(Message(phase.value, values)))

    def say(self, text: str) -> None:
        """Show a line on the node."""
        model_management.throw_exception_if_processing_interrupted()
        say(f"{self._title}: {text}", self._node_id)

    def advance(self, parts: int = 1, preview: Image.Image | None = None) -> None:
        """Advance the bar by this many parts, with an image below it."""
        model_management.throw_exception_if_processing_interrupted()
        self._done += parts
        self._bar.update_absolute(self._done, self._total, None if preview is None else ("JPEG", preview, 512))

    def resumed(self, done: int, total: int) -> None:
        """Show a run that goes on after so many steps."""
        self._total = total
        self._bar.update_absolute(done, total)
        self.say(str(Message("note_resumed", {"step": done, "total": total})))

    def step(self, step: Step) -> None:
        """Show a finished step: number, loss, median λ and time left."""
        model_management.throw_exception_if_processing_interrupted()
        self._bar.update_absolute(step.number, self._total)
        quartiles = step.quartiles
        scale = "" if quartiles is None else f", λ {quartiles[1]:.3f}"
        left = _clock(step.left(self._total))
        self.say(f"step {step.number}/{self._total}, loss {step.losses['total']:.4f}{scale}, {left} left")


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
