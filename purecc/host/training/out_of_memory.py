"""Recover a run that runs out of memory."""

from __future__ import annotations

import gc
import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from comfy import model_management

from ...adapters.memory_errors import lacks_memory
from ..messages import Message
from ..models.field import HostField

HOPELESS = (
    "{device} ran out of memory at step {step}, with every block checkpointed and one sample a pass without gradient; "
    "a pass with gradient holds the whole batch. Use a smaller resolution in Concept Dataset, batch_size 1, or "
    "target_layers with fewer layers (attention); or close other programs that use {device}."
)
NO_ROOM = "{device} ran out of memory while {doing}. {instead}, or close other programs that use {device}."
SMALLER_IMAGES = "Use a smaller resolution in Concept Dataset"
SMALLER_ENCODERS = "Load the text encoders in a smaller precision (T5-XXL in fp8)"
SMALLER_WEIGHTS = "Load the model in a smaller precision (Load Diffusion Model, weight_dtype fp8_e4m3fn)"
LESS_AT_ONCE = f"{SMALLER_WEIGHTS}, turn input_token off"

Result = TypeVar("Result")


class OutOfMemory(RuntimeError):
    """Something does not fit into memory, however little is kept."""


def is_oom(error: BaseException) -> bool:
    """Return whether memory ran out, that of a GPU or that of the computer."""
    if isinstance(error, OutOfMemory):
        return False
    return lacks_memory(error) or model_management.is_oom(error)


def _said(text: str, **values: object) -> str:
    """Return a message with its values, and the device that ran out of memory."""
    cpu = model_management.get_torch_device().type == "cpu"
    device = "the computer" if cpu else "the GPU"
    out = text.format(device=device, **values)
    return out[0].upper() + out[1:]


@contextmanager
def explain_out_of_memory(doing: str, instead: str = SMALLER_IMAGES) -> Iterator[None]:
    """Re-raise out-of-memory errors with advice.

    Args:
        doing: names the work inside.
        instead: what to do, which needs less memory.

    Raises:
        OutOfMemory: memory ran out.
    """
    try:
        yield
    except Exception as error:
        if not is_oom(error):
            raise
        _let_go(error)
        raise OutOfMemory(_said(NO_ROOM, doing=doing, instead=instead)) from error


@contextmanager
def skip_if_out_of_memory(message: Message, note: Callable[[Message], None]) -> Iterator[None]:
    """End the work inside, and no more, when memory runs out; for work that training can do without.

    Args:
        message: says what is left out.
        note: takes the message then.
    """
    try:
        yield
    except Exception as error:
        if not is_oom(error):
            raise
        _let_go(error)
        logging.warning("PureCC: %s", message)
        note(message)


def halve_until_it_fits(doing: str, attempt: Callable[[int], Result], limit: int) -> Result:
    """Return what an attempt gives, with half as many samples a pass each time that memory runs out.

    Args:
        doing: names the work, as in `explain_out_of_memory`.
        attempt: takes the most samples in one pass.
        limit: the first limit.

    Raises:
        OutOfMemory: not even one sample fits.
    """
    while limit > 1:
        try:
            return attempt(limit)
        except Exception as error:
            if not is_oom(error):
                raise
            _let_go(error)
        limit //= 2
        logging.warning("PureCC: out of memory while %s: again with at most %d samples a pass.", doing, limit)
    with explain_out_of_memory(doing):
        return attempt(limit)


def _let_go(error: Exception) -> None:
    traceback.clear_frames(error.__traceback__)  # which hold tensors
    gc.collect()
    model_management.soft_empty_cache()


class OutOfMemoryRetry:
    """Reduces a run to the least memory it can take, then takes weights off the device; for `Callbacks.on_error`.

    Args:
        field: the private copy.
        pass_limit: the most samples in one pass without gradient; None: no limit.
        note: takes a message that it was reduced.
        give_way: takes weights off the device and says so; returns whether there were any.
    """

    def __init__(
        self,
        field: HostField,
        pass_limit: int | None,
        note: Callable[[Message], None],
        give_way: Callable[[], bool] = lambda: False,
    ):
        self._field, self._pass_limit, self._note, self._give_way = field, pass_limit, note, give_way

    def __call__(self, step: int, error: Exception) -> int:
        """Return the pass limit for running the step again.

        Raises:
            OutOfMemory: nothing is left to reduce.
            Exception: the error, where it is of another kind.
        """
        if not is_oom(error):
            raise error
        _let_go(error)
        if self._field.checkpointing.all and self._pass_limit == 1:
            if not self._give_way():
                raise OutOfMemory(_said(HOPELESS, step=step)) from error
            logging.warning("PureCC: out of memory at step %d: again with fewer weights on the GPU.", step)
            return self._pass_limit
        self.reduce()
        message = Message("note_reduced", {"step": step})
        logging.warning("PureCC: %s", message)
        self._note(message)
        return 1

    def reduce(self) -> None:
        """Compute with the least memory from now on, as a run that goes on after it was reduced did."""
        self._field.checkpointing.first(len(self._field.text_blocks))
        self._pass_limit = 1
