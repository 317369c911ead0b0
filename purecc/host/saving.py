"""Adapters that are written while training goes on: asked for, every so many steps, the best so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from .. import files
from ..curves import Smooth
from ..files import Adapter
from ..history import Step
from .live import LiveRun

LONGEST_NAME = 100
SETTLED = 20
"""Steps before the smoothed loss says anything, and the best so far is looked for."""


@dataclass(frozen=True)
class Saving:
    """What is written of itself.

    Attributes:
        every: steps between two adapters; 0: none.
        keep: how many of these are kept, the newest.
        best_drift: the best so far is the adapter with the lowest smoothed concept loss of those whose drift was
            measured and is at most this; 0: none is looked for.
    """

    every: int = 0
    keep: int = 3
    best_drift: float = 0.0

    def check(self, drift_every: int, drift_prompts: Sequence[str]) -> None:
        """Refuses what cannot be done, before any work.

        Raises:
            ValueError: the best so far is wanted, and drift is measured seldom or never.
        """
        if self.best_drift and not (drift_every and drift_prompts):
            raise ValueError(
                "best_drift is given, and drift is measured too seldom to choose by it: set drift_every, such as to "
                "25, and have prompts in drift_prompts."
            )


class Saver:
    """Writes adapters of one run; it replaces and deletes nothing but what it wrote itself.

    Args:
        saving: what is written.
        name: of the adapter; the files are called NAME_step120 and NAME_best.
        loras: folder of the LoRAs.
        embeddings: folder of the embeddings.
        live: told of what was written, and of what could not be.
    """

    def __init__(self, saving: Saving, name: str, loras: Path | str, embeddings: Path | str, live: LiveRun):
        self._saving, self._name, self._live = saving, name, live
        self._folders = Path(loras), Path(embeddings)
        self._smooth = Smooth()
        self._autosaves: list[_Written] = []
        self._best: tuple[float, _Written] | None = None

    def after(self, step: Step, asked: bool, adapter: Callable[[str], Adapter]) -> None:
        """After every step: writes what is due. A disk that is full ends no training; the run shows what went wrong."""
        loss = self._smooth(step.losses.get("concept", step.losses["total"]))
        due = self._saving.every and step.number % self._saving.every == 0
        try:
            if asked or due:
                written = self._write(adapter(self._free(f"_step{step.number}")))
                if not asked:
                    self._autosaves.append(written)
                    self._thin()
            if self._is_best(step, loss):
                mine = self._best is not None and self._is_mine(self._best[1])
                name = self._best[1].name if mine else self._free("_best")
                self._best = loss, self._write(adapter(name), overwrite=mine)
                bound = self._saving.best_drift
                self._live.best(name=name, step=step.number, loss=loss, drift=step.drift, bound=bound)
        except OSError as error:
            self._live.note(f"The adapter of step {step.number} could not be saved: {error}", "saving")

    def _is_best(self, step: Step, loss: float) -> bool:
        bound = self._saving.best_drift
        if not bound or step.drift is None or step.drift > bound or step.number < SETTLED:
            return False
        return self._best is None or loss < self._best[0]

    def _write(self, adapter: Adapter, overwrite: bool = False) -> _Written:
        files.save(adapter, *self._folders, overwrite)
        self._live.saved(adapter.name)
        return _Written(adapter.name, adapter.id)

    def _thin(self) -> None:
        """Deletes the oldest autosaves; one that cannot be deleted now, as while another program reads it, is later."""
        for old in self._autosaves[: max(0, len(self._autosaves) - self._saving.keep)]:
            try:
                if self._is_mine(old):
                    for path in self._paths(old.name):
                        path.unlink(missing_ok=True)
            except OSError as error:
                self._live.note(f"{old.name} could not be deleted when it was due: {error}", "deleting")
                continue
            self._autosaves.remove(old)
            self._live.gone(old.name)

    def _is_mine(self, written: _Written) -> bool:
        """Whether the files of that name are still those that were written."""
        there = [path for path in self._paths(written.name) if path.exists()]
        try:
            return all(files.read_metadata(path)["purecc.id"] == written.id for path in there)
        except files.AdapterFileError:
            return False

    def _paths(self, name: str) -> list[Path]:
        return [folder / f"{name}.safetensors" for folder in self._folders]

    def _free(self, ending: str) -> str:
        """A name that no file has."""
        for number in count(1):
            more = ending if number == 1 else f"{ending}_{number}"
            name = self._name[: LONGEST_NAME - len(more)] + more
            if not any(path.exists() for path in self._paths(name)):
                return name
        raise AssertionError


@dataclass(frozen=True)
class _Written:
    name: str
    id: str
