"""Check a training node's inputs when a prompt is queued, before anything runs.

Each message begins with the name of the input that is to be changed: the front end marks that one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from comfy_execution.validation import validate_node_input

from ...method.methods import METHODS, MethodOptions, Methods
from ...text.texts import validate_name
from ..models.adapter_folders import folder_fault
from .autosave import Saving
from .planning import CHECKPOINTING

SAVE = "PureCCSaveAdapter"
"""Class type of the node that saves."""

Values = Mapping[str, Any]
"""Values of the inputs by id; those that come over a wire are not among them."""


def first_fault(values: Values, connected: Sequence[str], methods: Methods = METHODS) -> str:
    """Return what is wrong with the inputs of a training node; empty if nothing is.

    Args:
        values: see Values.
        connected: ids of the inputs that have a wire.
        methods: those of the node.
    """
    choices, extractor = partial(_choices, methods), partial(_extractor, methods)
    checks: tuple[Callable[[Values, Sequence[str]], None], ...] = (_texts, choices, _name, _steps, _best, extractor)
    for check in checks:
        try:
            check(values, connected)
        except ValueError as error:
            return str(error)
    return ""


def wrong_wire(received: Mapping[str, str], expected: Mapping[str, str]) -> str:
    """Return which wire brings what its input does not take; empty if each fits.

    Args:
        received: types of what the wires bring, by the id of the input.
        expected: types that the inputs take, by id.
    """
    for key, brought in received.items():
        if key in expected and not validate_node_input(brought, expected[key]):
            return f"{key} takes {expected[key]}, and what is connected gives {brought}. Connect another output."
    return ""


def check_saving(prompt: Any, saving: Saving, size: int) -> None:
    """Check, before training, that adapters can be saved where they will be.

    Args:
        prompt: the queued prompt, in API format.
        saving: what training itself saves.
        size: bytes of one adapter.

    Raises:
        ValueError: the prompt or the training saves an adapter, and the host's folders take none.
    """
    nodes = prompt.values() if isinstance(prompt, Mapping) else ()
    saves = any(isinstance(node, Mapping) and node.get("class_type") == SAVE for node in nodes)
    count = saves + saving.most
    if count and (fault := folder_fault(count * size)):
        raise ValueError(f"Nothing was trained, for the result could not be saved. {fault}")


def trace_steps(text: str) -> frozenset[int]:
    """Return the steps in a text such as "1, 100".

    Raises:
        ValueError: it holds something else.
    """
    parts = text.replace(",", " ").split()
    if not all(part.isdecimal() and len(part) < 10 and int(part) > 0 for part in parts):
        raise ValueError(f"trace_steps is {text!r}. Give step numbers from 1, separated by commas.")
    return frozenset(int(part) for part in parts)


def checkpointing(value: str | bool) -> str:
    """Return the choice of gradient checkpointing; workflows saved when it was a switch hold a boolean."""
    return ("all" if value else "off") if isinstance(value, bool) else value


def _texts(values: Values, connected: Sequence[str]) -> None:
    for name in ("name", "method", "trace_steps"):
        value = values.get(name)
        if value is not None and not isinstance(value, str):  # the host hands on what it could not convert
            raise ValueError(f"{name} is {repr(value)[:40]}, which is no text. Write a text.")


def _choices(methods: Methods, values: Values, connected: Sequence[str]) -> None:
    value, method = values.get("gradient_checkpointing"), values.get("method")
    if value is not None and checkpointing(value) not in CHECKPOINTING:
        raise ValueError(f"gradient_checkpointing is {value!r}. Choose one of: {', '.join(CHECKPOINTING)}.")
    if method is not None and method not in methods:
        raise ValueError(f"method is {method!r}. Choose one of: {', '.join(methods)}.")


def _name(values: Values, connected: Sequence[str]) -> None:
    if (name := values.get("name")) is None:
        return
    try:
        validate_name(name)
    except ValueError as error:
        raise ValueError(f"name: {error}") from None


def _steps(values: Values, connected: Sequence[str]) -> None:
    trace_steps(values.get("trace_steps") or "")


def _best(values: Values, connected: Sequence[str]) -> None:
    if "settings" in connected:  # it may measure drift
        return
    bound, every = values.get("best_drift"), values.get("drift_every")
    if bound is None or every is None:
        return
    for name, value in (("best_drift", bound), ("drift_every", every)):
        if not isinstance(value, int | float):  # the host hands on what it could not convert
            raise ValueError(f"{name} is {value!r}, which is no number. Set it to a number.")
    if not 0 <= bound <= 100:
        raise ValueError(f"best_drift is {bound}. Set it to a number from 0 to 100.")
    if not 0 <= every <= 10_000:
        raise ValueError(f"drift_every is {every}. Set it to a number from 0 to 10000.")
    Saving(best_drift=bound).check(every, ("some",))


def _extractor(methods: Methods, values: Values, connected: Sequence[str]) -> None:
    method = values.get("method")
    if method in methods and methods[method](MethodOptions()).needs_extractor and "extractor" not in connected:
        raise ValueError(
            f"extractor is not connected, and the method {method} needs it. Connect Train Extractor or Load Adapter."
        )
