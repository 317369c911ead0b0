"""Find, for a prompt that is about to be queued, the runs that can go on, and remember the user's answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

from .identity import digest
from .state_files import StateFolder

TRAINERS = ("PureCCTrainExtractor", "PureCCPureLearning")

FREE = (
    *("resume", "state_every", "keep_state", "cache", "vae", "sample_every", "sample_prompt", "trace_steps"),
    *("autosave_every", "autosave_keep", "best_drift", "gradient_checkpointing", "deterministic"),
)
"""Inputs of a training node on which nothing depends that is learned."""

MOST_NODES = 10_000
"""Nodes of a prompt beyond which no run is offered."""


class Grants:
    """Prompts for which the user agreed to go on, each once."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def give(self, prompt: str, agreed: bool) -> None:
        """Remember an answer for a prompt, by its hash."""
        with self._lock:
            (self._known.add if agreed else self._known.discard)(prompt)

    def take(self, prompt: str) -> bool:
        """Return whether the user agreed, and forget it."""
        with self._lock:
            agreed = prompt in self._known
            self._known.discard(prompt)
            return agreed


GRANTS = Grants()


def prompt_hash(prompt: Any, node: str | None) -> str:
    """Return a hash of a training node in a prompt with everything that leads to it; "" where there is none.

    Args:
        prompt: in API format.
        node: id of the training node.
    """
    if not isinstance(prompt, Mapping) or node is None or node not in prompt or len(prompt) > MOST_NODES:
        return ""
    wanted, found = [node], dict[str, Any]()
    while wanted:
        identity = wanted.pop()
        part = prompt.get(identity)
        if identity in found or not isinstance(part, Mapping) or not isinstance(part.get("inputs"), Mapping):
            continue
        given = {k: v for k, v in part["inputs"].items() if identity != node or k not in FREE}
        found[identity] = [part.get("class_type"), {k: _plain(v) for k, v in given.items()}]
        wanted += [v[0] for v in given.values() if isinstance(v, list) and len(v) == 2 and isinstance(v[0], str)]
    return digest([node, found])


def offers(prompt: Any, folder: StateFolder | None = None) -> list[dict[str, Any]]:
    """Return, for each training node of a prompt that asks, the state of its run: node, name, step, total and prompt.

    Args:
        prompt: in API format, as it is about to be queued.
        folder: of the states.
    """
    if not isinstance(prompt, Mapping) or len(prompt) > MOST_NODES:
        return []
    asking = [
        node
        for node, part in prompt.items()
        if isinstance(part, Mapping)
        and part.get("class_type") in TRAINERS
        and isinstance(part.get("inputs"), Mapping)
        and part["inputs"].get("resume", "ask") == "ask"
    ]
    if not asking:
        return []
    states = (folder or StateFolder()).all()
    out = []
    for node in asking:
        known = prompt_hash(prompt, node)
        state = next((s.about for s in states if s.about.get("prompt") == known), None)
        if state is not None:
            out.append({"node": node, "prompt": known, **{key: state[key] for key in ("name", "step", "total")}})
    return out


def answer(prompt: str, agreed: bool) -> None:
    """Remember whether to go on for a prompt, by its hash."""
    GRANTS.give(prompt, agreed)


def _plain(value: Any) -> Any:
    """Return a JSON value in which equal numbers look alike, whoever wrote them."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return json.loads(json.dumps(value, default=str))
