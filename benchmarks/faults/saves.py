"""The saves of the pack, each with what is on the disk before and after, to be broken off at any moment."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch
from adapter_files import make

from purecc_pack.purecc.adapters import files
from purecc_pack.purecc.adapters.adapter import Adapter, fingerprint
from purecc_pack.purecc.host.training import identity
from purecc_pack.purecc.host.training.drawn_cache import DrawnCache
from purecc_pack.purecc.host.training.state_files import StateFolder
from purecc_pack.purecc.training.history import History, Step
from purecc_pack.purecc.training.state import Draws, LoopState


@dataclass(frozen=True)
class Save:
    """One kind of save in a folder.

    Attributes:
        before: writes the old content.
        save: writes the new content over it.
        found: returns "old", "new" or "none", or raises if what is there does not load.
        after: any later save or start; what is left over is then gone.
        allowed: what may be found after a save that was broken off.
    """

    before: Callable[[Path], object]
    save: Callable[[Path], object]
    found: Callable[[Path], str]
    after: Callable[[Path], object]
    allowed: tuple[str, ...] = ("old", "new")


@cache  # before a fault: making a picture writes, too, but to no disk
def made(seed: int, what: tuple[bool, bool]) -> Adapter:
    """Return an adapter; with (token and layers, a picture)."""
    whole = make(seed=seed, tokens=what[0], layers=what[0])
    return replace(whole, picture=picture(seed)) if what[1] else whole


def adapter(old: tuple[bool, bool] | None, new: tuple[bool, bool]) -> Save:
    """Return a save of an adapter over another; each with (token and layers, a picture), None: there is none."""

    def put(folder: Path, seed: int, what: tuple[bool, bool]) -> None:
        files.save(made(seed, what), folder / "loras", folder / "embeddings", overwrite=True)

    def found(folder: Path) -> str:
        path = folder / "loras" / "rob.safetensors"
        if not path.exists():
            return "none"
        loaded = files.load(path, embeddings_dirs=[folder / "embeddings"])
        known = {made(2, new).id: "new"} | ({made(1, old).id: "old"} if old else {})
        return known[loaded.id]

    def after(folder: Path) -> None:
        files.recover([folder / "loras"], [folder / "embeddings"])

    def before(folder: Path) -> None:
        made(2, new)
        if old:
            put(folder, 1, old)

    return Save(before, lambda folder: put(folder, 2, new), found, after, ("old", "new") if old else ("none", "new"))


def picture(seed: int) -> bytes:
    """Return a picture of an adapter."""
    from PIL import Image

    from purecc_pack.purecc.adapters.picture import shown_for

    return shown_for(Image.new("RGB", (8, 8), (seed, 0, 0)), "a sample")


def state(total: int) -> LoopState:
    """Return a state after so many steps."""
    steps = [Step(k, {"total": 1.0}, (1.0,), 1e-4, float(k)) for k in range(1, total + 1)]
    learned = {name: torch.full((64,), float(total)) for name in ("weights", "first", "second")}
    learned["counts"] = torch.ones(2)
    return LoopState(learned, Draws(torch.Generator().get_state(), [[[]]]), History(steps))


WHO = identity.Identity("base", "texts", (), "", "", "", {})


def states() -> Save:
    """Return a save of a state of a run that has an earlier one."""

    def put(folder: Path, total: int) -> None:
        StateFolder(folder).write(state(total), WHO, {"name": "run", "total": 9})

    def found(folder: Path) -> str:
        listed = StateFolder(folder).of_run("run", WHO)
        return {3: "old", 4: "new"}[listed[0].read().step] if listed else "none"

    def after(folder: Path) -> None:
        put(folder, 5)
        for path in folder.glob("*.000005.*"):
            path.unlink()

    return Save(lambda folder: put(folder, 3), lambda folder: put(folder, 4), found, after)


def drawn() -> Save:
    """Return a save of what the base model drew."""
    tensors = {key: torch.full((64,), value) for key, value in (("old", 1.0), ("new", 2.0))}

    def found(folder: Path) -> str:
        got = DrawnCache(folder).get("key")
        if got is None:
            return "none"
        return next(key for key, value in tensors.items() if fingerprint({"x": value}) == fingerprint(got))

    def put(folder: Path, key: str, name: str = "key") -> None:
        DrawnCache(folder).put(name, {"x": tensors[key]})

    return Save(lambda f: put(f, "old"), lambda f: put(f, "new"), found, lambda f: put(f, "old", "other"))


SAVES = {
    "first adapter": adapter(None, (True, True)),
    "adapter over another": adapter((True, True), (True, True)),
    "adapter without embedding over one with": adapter((True, True), (False, False)),
    "adapter with embedding over one without": adapter((False, False), (True, True)),
    "LoRA over a LoRA": adapter((False, False), (False, False)),
    "state of a run": states(),
    "pool and masks": drawn(),
}


def litter(folder: Path) -> str:
    """Return the names of what a save left that is no file of the user."""
    return ", ".join(sorted(path.name for path in folder.rglob("*") if path.name.startswith(".")))
