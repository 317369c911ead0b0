"""A table of concepts: a row for each, whose columns say what differs from the workflow."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import workflow

TRAINERS = ("PureCCTrainExtractor", "PureCCPureLearning")
PLAIN = {
    "folder": ("PureCCImageFolder", "folder"),
    "class_word": ("PureCCConceptDataset", "class_word"),
    "kind": ("PureCCConceptDataset", "kind"),
}
"""Columns that need not name their node."""


class TableError(ValueError):
    """The table or an assignment cannot be used; the message says where and why."""


@dataclass(frozen=True)
class Row:
    """A concept.

    Attributes:
        name: of its adapter.
        values: of inputs, by "NODE.INPUT" or a name in `PLAIN`.
    """

    name: str
    values: dict[str, Any] = field(default_factory=dict)


def read(path: Path) -> list[Row]:
    """Return the rows of a CSV file with a head line; empty cells are left as the workflow has them.

    Raises:
        TableError: no column name, a name twice or none, or a row that is longer than the head.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file)
        if "name" not in (table.fieldnames or ()):
            raise TableError(
                f"{path} has no column 'name'. Its first line names the columns: name,folder,class_word,..."
            )
        rows: list[Row] = []
        for number, cells in enumerate(table, start=2):
            if None in cells:
                raise TableError(f"{path}, line {number} has more cells than the first line. Quote cells with commas.")
            name = (cells.pop("name") or "").strip()
            if not name or name in {row.name for row in rows}:
                raise TableError(
                    f"{path}, line {number}: the name {name!r} is empty or used above. Give it its own name."
                )
            rows.append(Row(name, {key: value(cell) for key, cell in cells.items() if cell and cell.strip()}))
    return rows


def value(text: str) -> Any:
    """Return a number, true, false or quoted text as JSON has it, and any other text as it is."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text.strip()


def assignment(text: str) -> tuple[str, Any]:
    """Return (target, value) of "NODE.INPUT=VALUE".

    Raises:
        TableError: it has no = or no dot before it.
    """
    target, equals, given = text.partition("=")
    if not equals or (target not in PLAIN and "." not in target):
        raise TableError(f"--set {text!r} is not NODE.INPUT=VALUE, such as PureCCPureLearning.steps=200.")
    return target.strip(), value(given)


def fill(prompt: dict, titles: dict[str, str], values: dict[str, Any]) -> None:
    """Write values into the inputs of an API-format prompt.

    Args:
        prompt: changed in place.
        titles: of nodes, by id.
        values: by "NODE.INPUT" or a name in `PLAIN`. A node is named by its id, its title or its class; a class stands
            for every node of it.

    Raises:
        TableError: no such node, or it has no such input.
    """
    for target, given in values.items():
        node, name = PLAIN.get(target) or target.rsplit(".", 1)
        found = [key for key, one in prompt.items() if node in (key, titles.get(key), one["class_type"])]
        if not found:
            known = sorted({one["class_type"] for one in prompt.values()})
            raise TableError(f"{target}: the workflow has no node {node!r}. Its nodes are {', '.join(known)}.")
        for key in found:
            inputs = prompt[key]["inputs"]
            if name not in inputs:
                raise TableError(f"{target}: {node} has no input {name!r}. Its inputs are {', '.join(inputs)}.")
            inputs[name] = given


def names(prompt: dict) -> list[str]:
    """Return the names of the adapters that a prompt trains."""
    return [one["inputs"]["name"] for one in prompt.values() if one["class_type"] in TRAINERS]


def call(prompt: dict, name: str) -> None:
    """Name the adapter of a prompt in place, and an extractor before it NAME_extractor.

    Raises:
        TableError: the workflow trains nothing.
    """
    found = [key for key, one in prompt.items() if one["class_type"] in TRAINERS]
    if not found:
        raise TableError("The workflow has no node that trains: Train Extractor or Pure Learning.")
    both = len({prompt[key]["class_type"] for key in found}) == 2
    for key in found:
        first = both and prompt[key]["class_type"] == TRAINERS[0]
        prompt[key]["inputs"]["name"] = f"{name}_extractor" if first else name


def prompt_of(saved: dict, info: dict) -> tuple[dict, dict[str, str]]:
    """Return (API-format prompt, titles by node id) of a workflow in the UI or the API format.

    Raises:
        TableError: it is neither.
    """
    if "nodes" in saved:
        graphs: Sequence[dict] = (saved, *saved.get("definitions", {}).get("subgraphs", ()))
        titles = {str(node["id"]): node["title"] for graph in graphs for node in graph["nodes"] if node.get("title")}
        prompt = workflow.to_api(saved, info)
        return prompt, {key: titles[key.split(":")[-1]] for key in prompt if key.split(":")[-1] in titles}
    if not saved or not all(isinstance(one, dict) and "class_type" in one for one in saved.values()):
        raise TableError("The file is no workflow: neither what Save writes nor what Export (API) writes.")
    return saved, {key: one["_meta"]["title"] for key, one in saved.items() if one.get("_meta", {}).get("title")}
