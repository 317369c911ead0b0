"""Inputs of the training nodes, each declared together with the field of the job that it fills."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from comfy_api.latest import io

Values = Mapping[str, Any]
"""The values of a node's inputs, by id."""


@dataclass(frozen=True)
class Setting:
    """One input and the field it fills.

    Attributes:
        input: what the node shows.
        fills: the field, as "group.field"; see `nodes.training_job` for the groups.
        read: returns the field's value from the values of all inputs; None: the input's own value as it is.
    """

    input: io.Input
    fills: str
    read: Callable[[Values], Any] | None = None

    def value(self, values: Values) -> Any:
        """Return the value of the field."""
        return value_of(self.input, values) if self.read is None else self.read(values)


def value_of(entry: io.Input, values: Values) -> Any:
    """Return the value of an input, or its default where a prompt saved before the input existed lacks it."""
    if entry.id in values or not entry.optional:
        return values[entry.id]
    default = getattr(entry, "default", None)
    return entry.options[0] if default is None and getattr(entry, "options", None) else default


Table = Sequence[Setting | io.Input]
"""Inputs in the order of the node; plain ones fill no field."""


def inputs(table: Table) -> list[io.Input]:
    """Return the inputs of a table."""
    return [entry.input if isinstance(entry, Setting) else entry for entry in table]


def fields(table: Table, values: Values) -> dict[str, dict[str, Any]]:
    """Return {group: {field: value}} of all settings in a table."""
    groups: dict[str, dict[str, Any]] = defaultdict(dict)
    for entry in table:
        if isinstance(entry, Setting):
            group, field = entry.fills.split(".")
            groups[group][field] = entry.value(values)
    return groups


def lines(text: str) -> tuple[str, ...]:
    """Return the lines of a text, stripped, without the empty ones."""
    return tuple(line.strip() for line in text.splitlines() if line.strip())
