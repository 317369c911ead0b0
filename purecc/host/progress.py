"""Progress of a long computation on the node that runs it, and the user's Cancel."""

from __future__ import annotations

from comfy import model_management
from comfy.utils import ProgressBar
from PIL import Image

from ..history import Step
from .showing import say


class NodeProgress:
    """A bar with text on a node; every call raises the host's interruption when the user has cancelled."""

    def __init__(self, node_id: str | None, title: str, total: int):
        self._bar = ProgressBar(total)
        self._node_id, self._title, self._total = node_id, title, total
        self._done = 0

    def say(self, text: str) -> None:
        """Shows a line on the node."""
        model_management.throw_exception_if_processing_interrupted()
        say(f"{self._title}: {text}", self._node_id)

    def advance(self, parts: int = 1, preview: Image.Image | None = None) -> None:
        """Moves the bar on by so many parts of its total."""
        model_management.throw_exception_if_processing_interrupted()
        self._done += parts
        self._bar.update_absolute(self._done, self._total, None if preview is None else ("JPEG", preview, 512))

    def step(self, step: Step) -> None:
        """Shows a finished step: its number, loss, λ and the time left."""
        model_management.throw_exception_if_processing_interrupted()
        self._bar.update_absolute(step.number, self._total)
        scale = f", λ {step.quartiles[1]:.3f}" if step.scales else ""
        left = _clock(step.left(self._total))
        self.say(f"step {step.number}/{self._total}, loss {step.losses['total']:.4f}{scale}, {left} left")


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
