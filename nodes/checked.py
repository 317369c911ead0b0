"""The base of the nodes: it refuses values that the host lets through: NaN, values in place of wires, endless texts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import wraps
from typing import Any

from comfy_api.latest import io

OBJECTS: tuple[str, ...] = (
    "MODEL",
    "CLIP",
    "VAE",
    "IMAGE",
    "MASK",
    "CLIP_VISION",
    "PURECC_DATASET",
    "PURECC_EXTRACTOR",
)
OBJECTS += ("PURECC_ADAPTER", "PURECC_PICTURES")
"""Types of which no value is one that JSON can write; the host does not check these."""
MOST_LETTERS = 100_000
"""Of a text."""
MOST_VALUES = 10_000
"""Of a list; an image of a batch is no value of its own."""
MAPPINGS = ("LATENT", "LORA_MODEL", "LOSS_MAP", "PURECC_SETTINGS")
"""Types whose values are mappings."""


def value_fault(name: str, of: str, value: Any) -> str:
    """Return what is wrong with the value of a socket; empty if nothing is.

    Args:
        name: of the input.
        of: its type, or types with commas.
        value: what came; a list where the node takes lists.
    """
    kinds = set(of.split(","))
    parts = value if isinstance(value, list) else [value]
    if any(part is None for part in parts):
        if kinds <= {*OBJECTS, *MAPPINGS}:
            return f"{name} is not connected. Connect an output of the type {of.split(',')[0]}."
        return f"{name} is empty. Give it a value."
    if len(parts) > MOST_VALUES:
        return f"{name} is a list of {len(parts)}. Connect at most {MOST_VALUES}."
    if of == "STRING":
        longest = max((len(part) for part in parts if isinstance(part, str)), default=0)
        return "" if longest <= MOST_LETTERS else f"{name} has {longest} letters. Shorten it to at most {MOST_LETTERS}."
    if of == "FLOAT":
        wild = next((part for part in parts if isinstance(part, float) and not math.isfinite(part)), None)
        return "" if wild is None else f"{name} is {wild}, which is not a finite number. Set it to a number."
    if not kinds <= {*OBJECTS, *MAPPINGS}:
        return ""
    wrong = (bool, int, float, str, list) if kinds <= {*MAPPINGS} else (bool, int, float, str, list, dict)
    if not any(isinstance(part, wrong) for part in parts):
        return ""
    return f"{name} is {repr(value)[:40]}, which is no {of.split(',')[0]}. Connect an output of that type."


class Node(io.ComfyNode):
    """A node whose inputs are checked before it is executed."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Check the sockets in `execute`."""
        super().__init_subclass__(**options)
        own = cls.__dict__.get("execute")
        if own is not None and not hasattr(own.__func__, "__wrapped__"):  # the host's copies of a class come checked
            cls.execute = classmethod(_checked(own.__func__))  # type: ignore[assignment]


def _checked(execute: Any) -> Any:
    @wraps(execute)
    def checked(cls: type[io.ComfyNode], *args: Any, **values: Any) -> Any:
        for name, (of, optional) in _inputs(cls.__name__, cls).items():
            if name not in values or (optional and values[name] is None):
                continue
            if fault := value_fault(name, of, values[name]):
                raise ValueError(fault)
        return execute(cls, *args, **values)

    return checked


_known: dict[str, Mapping[str, tuple[str, bool]]] = {}


def _inputs(name: str, cls: type[io.ComfyNode]) -> Mapping[str, tuple[str, bool]]:
    """Return the types of the inputs of a node, and whether they are optional, by id."""
    if name not in _known:
        inputs = cls.define_schema().inputs
        _known[name] = {e.id: (e.get_io_type(), bool(getattr(e, "optional", False))) for e in inputs}
    return _known[name]
