"""Go on with a run that was broken off, or with a finished adapter."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import comfyui_version
import torch

from ... import VERSION
from ...adapters.files import Adapter
from ...adapters.safetensors_io import AdapterFileError
from ...training.gradient import TrainingDiverged
from ...training.history import History
from ...training.state import Capture, LoopState
from ..messages import Message
from .identity import Identity
from .offers import GRANTS
from .state_files import StateFile, StateFolder

MODES = ("ask", "auto", "never")
SHARE = 0.01
"""The largest share of the training time that writing states may take."""


@dataclass(frozen=True)
class Resuming:
    """How a run deals with its states.

    Attributes:
        mode: "auto" goes on with a run that was broken off; "ask" does so if the user agreed in the page; "never".
        every: minutes between two states; 0: none are written.
        keep: whether the state after the last step is kept, so that `train_on` is exact.
    """

    mode: str = "ask"
    every: float = 5.0
    keep: bool = False


class Extra:
    """Something that goes on with a run beside its loop, such as its autosaves."""

    def state(self) -> Mapping[str, Any]:
        """Return JSON values."""
        return {}

    def restore(self, state: Mapping[str, Any], history: History) -> None:
        """Go on from what `state` returned, after these steps."""


@dataclass
class Resumer:
    """Finds, writes and removes the states of one run; the `Keeper` of its loop.

    Attributes:
        resuming: the settings.
        name: of the adapter.
        note: takes what the user should know, with a topic.
        prompt: hash of the queued prompt that leads to the run, see `offers`; "": unknown.
        train_on: the adapter that training goes on from.
        extra: what goes on beside the loop.
        folder: of the states.
        origin: what the metadata say of `train_on`, JSON values; None without one.
    """

    resuming: Resuming
    name: str
    note: Callable[[Message, str | None], None]
    prompt: str = ""
    train_on: Adapter | None = None
    extra: Extra = field(default_factory=Extra)
    folder: StateFolder = field(default_factory=StateFolder)

    def __post_init__(self) -> None:
        self.origin: dict[str, Any] | None = None
        self._run: tuple[Identity, int] | None = None
        self._saved, self._due = 0, 0.0
        self._last: LoopState | None = None

    def begin(self, identity: Identity, steps: int) -> tuple[LoopState | None, int]:
        """Return the state to go on from, None at the first step, and the steps of the whole run.

        Args:
            identity: of the run.
            steps: that the node asks for; beyond those of an adapter that it trains on.
        """
        state, total = self._broken_off(identity) or self._trained_on(identity, steps) or (None, steps)
        self._run = identity, total
        self._saved = 0 if state is None else state.step
        self._due = time.monotonic() + 60 * self.resuming.every
        return state, total

    def after(self, capture: Capture) -> None:
        """Write a state if one is due. A full disk does not end training; the run notes the error."""
        if self.resuming.every and time.monotonic() >= self._due:
            began = time.monotonic()
            self._write(capture())
            now = time.monotonic()
            self._due = now + max(60 * self.resuming.every, (now - began) / SHARE)

    def broken(self, capture: Capture, error: BaseException) -> None:
        """Write the state after the latest finished step; a run that diverged would only diverge again."""
        if not self.resuming.every or isinstance(error, TrainingDiverged):
            return
        try:
            state = capture()
        except Exception as failed:  # on a device that has failed
            logging.warning("PureCC: the state of the run could not be read: %s", failed)
            return
        if state.step > self._saved:
            self._write(state)

    def ended(self, capture: Capture) -> None:
        """Hold on to the last state where it is to be kept."""
        self._last = capture() if self.resuming.keep else None

    def finish(self, adapter: Adapter) -> None:
        """Remove the states of a run that gave its adapter, and keep the last one if asked to."""
        identity, total = self._of_run
        if self._last is not None:
            try:
                self.folder.keep(self._last, identity, self._about(total), adapter.id)
            except OSError as error:
                self._failed(self._last, error)
            self._last = None
        self.folder.remove(self.name, identity)

    @property
    def _of_run(self) -> tuple[Identity, int]:
        assert self._run is not None, "the run has not begun"
        return self._run

    def _broken_off(self, identity: Identity) -> tuple[LoopState, int] | None:
        """Return the latest state of this very run, if the user wants to go on with it."""
        granted = GRANTS.take(self.prompt)
        if self.resuming.mode == "never":
            return None
        files = self.folder.of_run(self.name, identity)
        if not files:
            self._refuse(identity)
            return None
        if self.resuming.mode == "ask" and not granted:
            self.note(Message("note_state_fits", {"step": files[0].about["step"]}), "state")
            return None
        for file in files:
            if (state := _read(file)) is None:
                continue
            self.extra.restore(file.about["extra"], state.history)
            self.origin = file.about["origin"]
            history = replace(state.history, resumed=(*state.history.resumed, state.step))
            values = {"step": state.step, "total": file.about["total"]}
            self.note(Message("note_resumed", values), "state")
            if (wrote := file.about["versions"]) != _versions():
                self.note(Message("note_other_versions", {"versions": ", ".join(map(" ".join, wrote.items()))}), None)
            return replace(state, history=history), file.about["total"]
        return None

    def _refuse(self, identity: Identity) -> None:
        """Say why the latest state of that name is not used."""
        for file in self.folder.of_name(self.name)[:1]:
            differences = "; ".join(file.identity.differences(identity))
            values = {"step": file.about["step"], "differences": differences}
            self.note(Message("note_state_refused", values), "state")

    def _trained_on(self, identity: Identity, steps: int) -> tuple[LoopState | None, int] | None:
        """Return the state that was kept for the adapter to train on; note whether training is exact."""
        if self.train_on is None:
            return None
        file, why = self.folder.kept(self.train_on.id), "its state was not kept"
        if file is not None:
            free = ("name", "train_on", "settings.steps", "watch.drift_every", "watch.drift_prompts")
            why = "; ".join(file.identity.differences(identity, free))
            state = None if why else _read(file)
            if state is not None:
                self.origin = self._origin(True, state.step)
                self.note(Message("note_trained_on_exact", {"name": self.train_on.name, "step": state.step}), "state")
                return state, state.step + steps
        self.origin = self._origin(False, int(self.train_on.metadata.get("purecc.steps", 0)))
        self.note(Message("note_trained_on_warm", {"name": self.train_on.name, "why": why or "damaged"}), "state")
        return None

    def _origin(self, exact: bool, steps: int) -> dict[str, Any]:
        assert self.train_on is not None
        return {"name": self.train_on.name, "id": self.train_on.id, "exact": exact, "steps": steps}

    def _about(self, total: int) -> dict[str, Any]:
        about = {"name": self.name, "total": total, "prompt": self.prompt, "extra": dict(self.extra.state())}
        return {**about, "origin": self.origin, "versions": _versions(), "time": round(time.time())}

    def _write(self, state: LoopState) -> None:
        identity, total = self._of_run
        try:
            self.folder.write(state, identity, self._about(total))
            self._saved = state.step
        except OSError as error:
            self._failed(state, error)

    def _failed(self, state: LoopState, error: OSError) -> None:
        logging.warning("PureCC: the state of step %d could not be saved: %s", state.step, error)
        self.note(Message("note_state_not_saved", {"step": state.step, "error": str(error)}), "state")


class Follower(Resumer):
    """Goes on from the states that the first of several processes writes, and writes none."""

    def after(self, capture: Capture) -> None:
        """Write nothing."""

    def broken(self, capture: Capture, error: BaseException) -> None:
        """Write nothing."""

    def ended(self, capture: Capture) -> None:
        """Hold on to nothing."""

    def finish(self, adapter: Adapter) -> None:
        """Remove nothing."""


def _read(file: StateFile) -> LoopState | None:
    try:
        return file.read()
    except (AdapterFileError, OSError) as error:
        logging.warning("PureCC: a state is passed over: %s", error)
        return None


def _versions() -> dict[str, str]:
    return {"purecc": VERSION, "torch": torch.__version__, "comfyui": comfyui_version.__version__}
