"""Describe a graph: its nodes by name, what feeds them, and in which columns they stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

NOTE = "MarkdownNote"


@dataclass(frozen=True)
class Node:
    """A node of a graph.

    Attributes:
        type: its class, or a subgraph.
        values: of its widgets, by name.
        inputs: what feeds an input, by the input's name: "NODE.OUTPUT".
        title: instead of its own.
        height: in pixels; None: as small as it can be.
    """

    type: str | Part
    values: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    title: str = ""
    height: int | None = None


@dataclass(frozen=True)
class Part:
    """A subgraph.

    Attributes:
        name: shown as its title, and in the search where it is a blueprint.
        description: shown in the search.
        nodes: by name.
        inputs: the inputs and widgets that it shows, in order, each with what it feeds: ["NODE.INPUT", ...].
        outputs: "NODE.OUTPUT", by name.
        columns: the nodes from left to right.
    """

    name: str
    description: str
    nodes: Mapping[str, Node]
    inputs: Mapping[str, Sequence[str]]
    outputs: Mapping[str, str]
    columns: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Column:
    """A group of nodes, one below the other.

    Attributes:
        title: of the group.
        nodes: their names.
        width: of the nodes, in pixels.
    """

    title: str
    nodes: Sequence[str]
    width: int = 340


@dataclass(frozen=True)
class Graph:
    """A workflow.

    Attributes:
        nodes: by name.
        columns: from left to right.
    """

    nodes: Mapping[str, Node]
    columns: Sequence[Column]

    @property
    def json(self) -> dict:
        """The description as the page takes it."""
        return asdict(self)


def note(text: str, height: int = 120) -> Node:
    """Return a note in Markdown."""
    return Node(NOTE, {"": text}, title="Note", height=height)


def one(name: str, node: Node) -> Graph:
    """Return a graph of one node: a blueprint."""
    return Graph({name: node}, [Column("", [name])])
