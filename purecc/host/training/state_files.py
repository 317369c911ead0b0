"""Keep states of runs in files: safetensors with JSON in the metadata, the latest two of each run."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import folder_paths
import torch
from torch import Tensor

from ...adapters import transaction
from ...adapters.adapter import fingerprint
from ...adapters.safetensors_io import AdapterFileError, read_header, read_tensors, serialise
from ...training.history import History, Step
from ...training.state import Draws, LoopState
from .identity import Identity

FORMAT = 1
LATEST = 2
"""States kept of one run."""
RUNS = 8
"""Runs of which states are kept; those of the oldest are deleted."""
KEPT = 20
"""States of finished runs that are kept on request."""
FOLDER = "purecc_states"
"""Kind of folder in the host's list; scripts/headless.py names it."""

_FIGURES = ("lr", "seconds", "drift")


@dataclass(frozen=True)
class StateFile:
    """A state on the disk, without its tensors.

    Attributes:
        path: of the file.
        about: what is said of it: "identity", "step", "total", "prompt" and what its writer adds.
    """

    path: Path
    about: Mapping[str, Any]

    @property
    def identity(self) -> Identity:
        """The identity of its run."""
        return Identity.from_json(self.about["identity"])

    @property
    def key(self) -> str:
        """The key of that identity."""
        return self.path.name.split(".")[1]

    def read(self) -> LoopState:
        """Return the state.

        Raises:
            AdapterFileError: the file is damaged.
        """
        tensors = read_tensors(self.path)
        if fingerprint(tensors) != self.about["id"]:
            raise AdapterFileError(f"{self.path} is damaged. Training starts without it.")
        try:
            return _unpacked(tensors, self.about["loop"])
        except (LookupError, TypeError, ValueError, RuntimeError) as error:
            raise AdapterFileError(f"{self.path} is no state of a run ({error}).") from error


class StateFolder:
    """The states of runs in a folder; only files that it wrote are read and deleted.

    Args:
        folder: made when the first state is written; None: the host's folder of the kind `FOLDER` where a script has
            named one, else that of this pack among the user's files of the host. Kept states are always in the latter.
    """

    def __init__(self, folder: Path | str | None = None):
        users = Path(folder or Path(folder_paths.get_system_user_directory("purecc")) / "states")
        named = folder_paths.folder_names_and_paths.get(FOLDER, ([], set()))[0]
        self.folder = Path(named[0]) if named and not folder else users
        self._kept = users / "kept"

    def write(self, state: LoopState, identity: Identity, about: Mapping[str, Any]) -> Path:
        """Write a state of a run, and delete all but the latest two of it.

        Args:
            state: after a step.
            identity: of the run.
            about: "name", "total", "prompt" and what else is to be known of it, JSON values.

        Raises:
            OSError: it cannot be written; names the file, its size and the room there is.
        """
        path = self.folder / f"{about['name']}.{identity.key[:16]}.{state.step:06}.safetensors"
        self._write(path, state, identity, about)
        with contextlib.suppress(OSError):  # it is written; what is too much goes with the next one
            self._delete([old.path for old in self.of_run(about["name"], identity)[LATEST:]])
            runs = list(dict.fromkeys(file.path.name.rsplit(".", 2)[0] for file in self.all()))
            self._delete(path for run in runs[RUNS:] for path in self.folder.glob(f"{run}.*.safetensors"))
        return path

    def keep(self, state: LoopState, identity: Identity, about: Mapping[str, Any], adapter: str) -> Path:
        """Write the last state of a run for its adapter, by the adapter's id; raises as `write`."""
        path = self._kept / f"{about['name']}.{adapter[:32]}.safetensors"
        self._write(path, state, identity, about)
        with contextlib.suppress(OSError):
            self._delete(sorted(path.parent.glob("*.safetensors"), key=_age)[KEPT:])
        return path

    def kept(self, adapter: str) -> StateFile | None:
        """Return the state that was kept for an adapter, by its id."""
        return next(self._files(self._kept.glob(f"*.{adapter[:32]}.safetensors")), None)

    def all(self) -> list[StateFile]:
        """Return all states of runs that were broken off, the latest first."""
        return list(self._files(self.folder.glob("*.*.*.safetensors")))

    def of_name(self, name: str) -> list[StateFile]:
        """Return the states of the runs of that name, the latest first."""
        return list(self._files(self.folder.glob(f"{name}.*.*.safetensors")))

    def of_run(self, name: str, identity: Identity) -> list[StateFile]:
        """Return the states of a run, the latest first."""
        return list(self._files(self.folder.glob(f"{name}.{identity.key[:16]}.*.safetensors")))

    def remove(self, name: str, identity: Identity) -> None:
        """Delete the states of a run."""
        self._delete(self.folder.glob(f"{name}.{identity.key[:16]}.*.safetensors"))

    def _write(self, path: Path, state: LoopState, identity: Identity, about: Mapping[str, Any]) -> None:
        tensors, loop = _packed(state)
        values = {**about, "identity": vars(identity), "step": state.step, "loop": loop, "id": fingerprint(tensors)}
        content = serialise(tensors, {"purecc.state": str(FORMAT), "purecc.about": json.dumps(values, default=list)})
        with transaction.named(path, len(content)):
            path.parent.mkdir(parents=True, exist_ok=True)
            transaction.sweep(path.parent)
        transaction.publish({path: content})

    def _files(self, paths: Iterator[Path]) -> Iterator[StateFile]:
        for path in sorted(paths, key=_age):
            try:
                metadata = read_header(path).get("__metadata__", {})
                if metadata.get("purecc.state") != str(FORMAT):
                    continue
                about = json.loads(metadata["purecc.about"])
                Identity.from_json(about["identity"])
            except (AdapterFileError, OSError, LookupError, TypeError, ValueError) as error:
                logging.warning("PureCC: the state %s is passed over: %s", path, error)
                continue
            yield StateFile(path, about)

    def _delete(self, paths: Any) -> None:
        for path in list(paths):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def _age(path: Path) -> tuple[int, str]:
    """Return a key by which the latest file comes first."""
    try:
        return -path.stat().st_mtime_ns, path.name
    except OSError:
        return 0, path.name


def _packed(state: LoopState) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and the JSON values of a state."""
    steps = state.history.steps
    names = list(steps[0].losses) if steps else []
    figures = [[step.lr, step.seconds, float("nan") if step.drift is None else step.drift] for step in steps]
    tensors = {
        **state.learned,
        "generator": state.draws.generator,
        "losses": _doubles([[step.losses[name] for name in names] for step in steps], len(names)),
        "figures": _doubles(figures, len(_FIGURES)),
        "scales": torch.tensor([scale for step in steps for scale in step.scales], dtype=torch.float64),
        "scale_counts": torch.tensor([len(step.scales) for step in steps], dtype=torch.int64),
    }
    history = state.history
    return tensors, {
        "losses": names,
        "queues": state.draws.queues,
        "pass_limit": state.pass_limit,
        "observed": state.observed,
        "rescued": history.rescued,
        "resumed": history.resumed,
    }


def _unpacked(tensors: Mapping[str, Tensor], loop: Mapping[str, Any]) -> LoopState:
    scales = tensors["scales"].split(tensors["scale_counts"].tolist())
    steps = []
    rows = zip(tensors["losses"].tolist(), tensors["figures"].tolist(), scales, strict=True)
    for number, (losses, (lr, seconds, drift), own) in enumerate(rows, start=1):
        named = dict(zip(loop["losses"], losses, strict=True))
        steps.append(Step(number, named, tuple(own.tolist()), lr, seconds, None if drift != drift else drift))
    history = History(steps, False, tuple(loop["rescued"]), tuple(loop["resumed"]))
    mean = ["average"] if "average" in tensors else []
    learned = {name: tensors[name] for name in ("weights", "first", "second", "counts", *mean)}
    draws = Draws(tensors["generator"], loop["queues"])
    return LoopState(learned, draws, history, loop["pass_limit"], loop["observed"])


def _doubles(rows: list[list[float]], width: int) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64).view(len(rows), width)
