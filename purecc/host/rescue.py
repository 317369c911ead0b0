"""What is done when memory runs out."""

from __future__ import annotations

import gc
import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

from comfy import model_management

from ..settings import Settings
from .field import HostField

TIGHTENED = (
    "Out of memory at step {step}: from here on every block is checkpointed, and passes without gradient take one "
    "sample each. Passes with gradient hold the whole batch still."
)
HOPELESS = (
    "The GPU ran out of memory at step {step}, with every block checkpointed and one sample a pass without gradient; "
    "a pass with gradient holds the whole batch. Use a smaller resolution in Concept Dataset, batch_size 1, or "
    "target_layers with fewer layers (attention); or close other programs that use the GPU."
)

LEFT_OUT = "Out of memory: {what}. Training goes on."

NO_ROOM = "The GPU ran out of memory while {doing}. {instead}, or close other programs that use the GPU."
SMALLER_PICTURES = "Use a smaller resolution in Concept Dataset"
SMALLER_ENCODERS = "Load the text encoders in a smaller precision (T5-XXL in fp8)"
SMALLER_WEIGHTS = "Load the model in a smaller precision (Load Diffusion Model, weight_dtype fp8_e4m3fn)"
LESS_AT_ONCE = f"{SMALLER_WEIGHTS}, turn input_token off"

Result = TypeVar("Result")


class OutOfMemory(RuntimeError):
    """Something does not fit, however little is kept."""


@contextmanager
def clearly(doing: str, instead: str = SMALLER_PICTURES) -> Iterator[None]:
    """Has running out of memory inside said clearly; for what keeps nothing that it could do without.

    Args:
        doing: what is done inside.
        instead: what needs less.

    Raises:
        OutOfMemory: memory ran out.
    """
    try:
        yield
    except Exception as error:
        if not model_management.is_oom(error):
            raise
        _let_go(error)
        raise OutOfMemory(NO_ROOM.format(doing=doing, instead=instead)) from error


@contextmanager
def dispensable(what: str, note: Callable[[str], None]) -> Iterator[None]:
    """Has running out of memory inside end what is done inside and no more; for what training can do without.

    Args:
        what: is left out then, such as "drift was not measured at step 20".
        note: told of it.
    """
    try:
        yield
    except Exception as error:
        if not model_management.is_oom(error):
            raise
        _let_go(error)
        text = LEFT_OUT.format(what=what)
        logging.warning("PureCC: %s", text)
        note(text)


def within_memory(doing: str, attempt: Callable[[int], Result], limit: int) -> Result:
    """What an attempt gives with at most so many samples a pass, or with half as many each time that memory runs out.

    Args:
        doing: what is done, as in `clearly`.
        attempt: of the limit.
        limit: to begin with.

    Raises:
        OutOfMemory: not even one sample fits.
    """
    while limit > 1:
        try:
            return attempt(limit)
        except Exception as error:
            if not model_management.is_oom(error):
                raise
            _let_go(error)
        limit //= 2
        logging.warning("PureCC: out of memory while %s: again with at most %d samples a pass.", doing, limit)
    with clearly(doing):
        return attempt(limit)


def _let_go(error: Exception) -> None:
    traceback.clear_frames(error.__traceback__)  # which hold tensors
    gc.collect()
    model_management.soft_empty_cache()


class Rescue:
    """Tightens a run once, to the least memory there is; for `Callbacks.on_error`.

    Args:
        field: the private copy.
        settings: of the loop.
        note: told that it was tightened.
    """

    def __init__(self, field: HostField, settings: Settings, note: Callable[[str], None]):
        self._field, self._settings, self._note = field, settings, note

    def __call__(self, step: int, error: Exception) -> Settings:
        """The settings to run the step again with.

        Raises:
            OutOfMemory: nothing is left to tighten.
            Exception: the error, where it is of another kind.
        """
        if not model_management.is_oom(error):
            raise error
        _let_go(error)
        if self._field.checkpointing.all and self._settings.pass_limit == 1:
            raise OutOfMemory(HOPELESS.format(step=step)) from error
        self._field.checkpointing.first(len(self._field.text_blocks))
        self._settings = replace(self._settings, pass_limit=1)
        text = TIGHTENED.format(step=step)
        logging.warning("PureCC: %s", text)
        self._note(text)
        return self._settings
