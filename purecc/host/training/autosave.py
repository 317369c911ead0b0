"""Saves adapters during training: on request, every so many steps, and the best so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from ...adapters import files
from ...adapters.files import Adapter
from ...training.history import History, Smooth, Step
from ..messages import Message
from ..ui.live_run import LiveRun
from .identity import digest
from .resuming import Extra

LONGEST_NAME = 100
SETTLED = 20
"""Steps before the smoothed loss means anything, and the best so far is saved."""


@dataclass(frozen=True)
class Saving:
    """Settings of automatic saving.

    Attributes:
        every: steps between two adapters; 0 disables it.
        keep: number of these that are kept, the newest.
        best_drift: the best adapter has the lowest smoothed concept loss among those whose drift was measured and is
            at most this; 0: no best adapter is saved.
    """

    every: int = 0
    keep: int = 3
    best_drift: float = 0.0

    @property
    def most(self) -> int:
        """The largest number of adapters that are there at a time: a new one is written before an old one goes."""
        return (self.keep + 1 if self.every else 0) + (1 if self.best_drift else 0)

    def check(self, drift_every: int, drift_prompts: Sequence[str]) -> None:
        """Check the settings before any work.

        Raises:
            ValueError: the best so far is asked for, and drift is measured too seldom or never.
        """
        if self.best_drift and not (drift_every and drift_prompts):
            raise ValueError(
                "best_drift is set, but drift is measured too seldom to choose by it. Set drift_every, for example to "
                "25, and add prompts to drift_prompts."
            )


class Saver(Extra):
    """Writes adapters of one run; it replaces and deletes only its own files.

    Args:
        saving: what is saved.
        name: of the adapter; the files are called NAME_step120 and NAME_best.
        folders: of the LoRAs and of the embeddings.
        live: told of what was saved and deleted, and of what could not be.
    """

    def __init__(self, saving: Saving, name: str, folders: tuple[Path | str, Path | str], live: LiveRun):
        self._saving, self._name, self._live = saving, name, live
        loras, embeddings = folders
        self._folders = Path(loras), Path(embeddings)
        self._smooth = Smooth()
        self._autosaves: list[_Written] = []
        self._best: tuple[float, _Written] | None = None
        self._told: dict[str, Any] = {}
        self._resumed = False

    def after(self, step: Step, asked: bool, adapter: Callable[[str], Adapter]) -> None:
        """Write what is due after a step. A full disk does not end training; the run notes the error."""
        loss = self._smooth(step.losses.get("concept", step.losses["total"]))
        due = self._saving.every and step.number % self._saving.every == 0
        try:
            if asked or due:
                written = self._write_free(f"_step{step.number}", adapter)
                if not asked:
                    self._autosaves.append(written)
                    self._thin()
            if self._is_best(step, loss):
                earlier = self._best[1] if self._best is not None and self._is_mine(self._best[1]) else None
                name = self._free("_best") if earlier is None else earlier.name
                self._best = loss, self._write(adapter(name), overwrite=earlier is not None)
                bound = self._saving.best_drift
                self._told = {"name": name, "step": step.number, "loss": loss, "drift": step.drift, "bound": bound}
                self._live.best(**self._told)
        except OSError as error:
            self._live.note(Message("note_not_saved", {"step": step.number, "error": str(error)}), "saving")

    def _is_best(self, step: Step, loss: float) -> bool:
        bound = self._saving.best_drift
        if not bound or step.drift is None or step.drift > bound or step.number < SETTLED:
            return False
        return self._best is None or loss < self._best[0]

    def _write(self, adapter: Adapter, overwrite: bool = False) -> _Written:
        files.save(adapter, *self._folders, overwrite)
        self._live.saved(adapter.name)
        return _Written(adapter.name, adapter.id, _recipe(adapter.metadata))

    def _write_free(self, ending: str, adapter: Callable[[str], Adapter]) -> _Written:
        """Write an adapter under a name that no other has; that of the same adapter is written again.

        A run that went on from an earlier state comes by its own autosaves a second time.
        """
        made = adapter(self._named(ending))
        if self._resumed and self._is_there(_Written(made.name, made.id)):
            return self._write(made, overwrite=True)
        name = self._free(ending)
        return self._write(made if name == made.name else adapter(name))

    def state(self) -> dict[str, Any]:
        """Return what goes on with a run, as JSON values: its autosaves and its best adapter."""
        best = None if self._best is None else [self._best[0], asdict(self._best[1])]
        return {"autosaves": [asdict(written) for written in self._autosaves], "best": best, "told": self._told}

    def restore(self, state: Mapping[str, Any], history: History) -> None:
        """Go on from what `state` returned, after these steps; files that are gone or changed since are let go."""
        self._resumed = True
        for step in history.steps:
            self._smooth(step.losses.get("concept", step.losses["total"]))
        self._autosaves = [w for one in state["autosaves"] if self._is_there(w := _Written(**one))]
        for written in self._autosaves:
            self._live.saved(written.name)
        if state["best"] is None:
            return
        best, there = _Written(**state["best"][1]), self._metadata(state["best"][1]["name"])
        if there and _recipe(there) == best.recipe:  # also one of a later step, written before the run was broken off
            self._best, self._told = (state["best"][0], replace(best, id=there["purecc.id"])), state["told"]
            self._live.best(**self._told)

    def _thin(self) -> None:
        """Delete the oldest autosaves; one that is in use is deleted later."""
        for old in self._autosaves[: max(0, len(self._autosaves) - self._saving.keep)]:
            try:
                if self._is_mine(old):
                    for path in self._paths(old.name):
                        path.unlink(missing_ok=True)
            except OSError as error:
                self._live.note(Message("note_not_deleted", {"name": old.name, "error": str(error)}), "deleting")
                continue
            self._autosaves.remove(old)
            self._live.gone(old.name)

    def _is_mine(self, written: _Written) -> bool:
        """Return whether the files of that name are still those that were written."""
        there = [path for path in self._paths(written.name) if path.exists()]
        try:
            return all(files.read_metadata(path)["purecc.id"] == written.id for path in there)
        except files.AdapterFileError:
            return False

    def _metadata(self, name: str) -> Mapping[str, str]:
        """Return the metadata of an adapter of that name; none where there is no such file."""
        try:
            return files.read_metadata(self._paths(name)[0])
        except (files.AdapterFileError, OSError):
            return {}

    def _is_there(self, written: _Written) -> bool:
        return self._paths(written.name)[0].exists() and self._is_mine(written)

    def _paths(self, name: str) -> list[Path]:
        return [folder / f"{name}.safetensors" for folder in self._folders]

    def _named(self, ending: str) -> str:
        return self._name[: LONGEST_NAME - len(ending)] + ending

    def _free(self, ending: str) -> str:
        """Return a name that no file has."""
        for number in count(1):
            more = ending if number == 1 else f"{ending}_{number}"
            name = self._named(more)
            if not any(path.exists() for path in self._paths(name)):
                return name
        raise AssertionError


@dataclass(frozen=True)
class _Written:
    name: str
    id: str
    recipe: str = ""


def _recipe(about: Mapping[str, str]) -> str:
    """Return a hash of how an adapter was trained."""
    return digest([about.get(f"purecc.{key}") for key in ("recipe", "texts", "class_word")])
