"""Kill -9 at random moments of a run: what is on the disk loads, and the run goes on to the bits of a whole one."""

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import runs

from faults import saves, world
from faults.judge import WORKS, Seen
from purecc_pack.purecc.adapters import files
from purecc_pack.purecc.host.training import resuming
from purecc_pack.purecc.host.training.autosave import Saver, Saving
from purecc_pack.purecc.host.training.listener import Requests
from purecc_pack.purecc.host.training.state_files import StateFolder
from purecc_pack.purecc.host.ui.live_run import LiveRun
from purecc_pack.purecc.host.ui.run_state import About

LIMIT = 120.0
"""Seconds that one fault may take."""

STEPS = 6


class Keeps:
    """Steers nothing, and saves what is due."""

    def __init__(self, saver: Saver):
        self._saver = saver

    def requests(self) -> Requests:
        """Return none."""
        return Requests()

    def keep(self, step: Any, adapter: Any) -> None:
        """Save after a step."""
        self._saver.after(step, False, adapter)


def train(bench: world.World, folder: Path, steps: int = STEPS) -> Any:
    """Run with a state and an autosave after every step, or go on with what is in the folder."""
    resuming.SHARE = 1e9
    saver = Saver(
        Saving(every=1, keep=2),
        "killed",
        (folder / "loras", folder / "embeddings"),
        LiveRun(About("7", None, "extractor", "killed", steps, False)),
    )
    resumer = resuming.Resumer(
        resuming.Resuming("auto", 1e-9), "killed", lambda *_: None, extra=saver, folder=StateFolder(folder / "states")
    )
    job = bench.job("LoRA", "killed", steps=steps)
    return bench.train(job, runs.Quiet(), resumer, steering=Keeps(saver)).adapter


def attempt(bench: world.World, seconds: float, again: bool) -> Seen:
    """Kill a run after so many seconds, and go on; twice if `again`.

    A run that has written an autosave and no state yet begins anew, and what it wrote stays.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ended, stay = False, set[str]()
        for _ in range(1 + again):
            child = os.fork()
            if not child:
                try:
                    train(bench, folder)
                finally:
                    os._exit(0)
            time.sleep(seconds)
            os.kill(child, signal.SIGKILL)
            ended = ended or not os.waitpid(child, 0)[1]  # before it was killed: the next one begins anew
            if not any((folder / "states").glob("*.safetensors")):
                stay |= _autosaves(folder)
        lost = _unreadable(folder)
        try:
            adapter = train(bench, folder)
        except Exception as error:
            return Seen(WORKS, str(error), type(error).__name__, lost=lost)
        if adapter.id != world.LATEST["whole"][0]:
            lost = lost or "the run that went on gave other bits"
        left = saves.litter(folder)
        names = _autosaves(folder)
        wrong = f"left behind: {left}" if left else ""
        if not ended and names != {f"killed_step{STEPS - 1}", f"killed_step{STEPS}", *stay}:
            wrong = wrong or f"autosaves that stayed: {', '.join(sorted(names))}"
        return Seen(WORKS, wrong=wrong, lost=lost or bench.changed())


def _autosaves(folder: Path) -> set[str]:
    return {path.stem for path in (folder / "loras").glob("*.safetensors")}


def _unreadable(folder: Path) -> str:
    """Return what of the files on the disk does not load."""
    try:
        for path in (folder / "loras").glob("*.safetensors"):
            files.load(path, embeddings_dirs=[folder / "embeddings"])
        for path in (folder / "states").glob("*.safetensors"):
            if not [file for file in StateFolder(folder / "states").all() if file.path == path and file.read()]:
                return f"{path.name} is no state"
    except Exception as error:
        return str(error)
    return ""


@contextmanager
def opened(random: Random) -> Iterator[Iterator[tuple[str, Callable[[], Seen]]]]:
    """Yield moments without end."""
    bench = world.World.made()
    with tempfile.TemporaryDirectory() as name:
        began = time.monotonic()
        whole = train(bench, Path(name))
        world.LATEST["whole"] = whole.id, time.monotonic() - began

    def cases() -> Iterator[tuple[str, Callable[[], Seen]]]:
        k = 0
        while True:
            k += 1
            part, again = random.random(), random.random() < 0.3
            yield (
                f"{k}: after {part:.1%} of a run{', twice' if again else ''}",
                partial(attempt, bench, part * 1.1 * world.LATEST["whole"][1], again),
            )

    yield cases()
