"""Kill -9 before each system call of every save, and what is then on the disk."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random

from faults.judge import WORKS, Seen
from faults.saves import SAVES, Save, litter
from faults.syscalls import AtCall, killed

LIMIT = 30.0
"""Seconds that one fault may take."""


def calls(save: Save) -> int:
    """Return the number of system calls of a save."""
    with tempfile.TemporaryDirectory() as name, AtCall(10**9, lambda call: None) as counted:
        folder = Path(name)
        save.before(folder)
        counted.calls = 0
        save.save(folder)
        return counted.calls


def checked(save: Save, folder: Path, allowed: tuple[str, ...]) -> Seen:
    """Return what a broken save left: the old or the new content, and nothing else once another save has been."""
    try:
        first = save.found(folder)
        save.after(folder)
        found = save.found(folder)
    except Exception as error:
        return Seen(WORKS, str(error), type(error).__name__, lost=f"does not load: {error}")
    if {first, found} - set(allowed):
        return Seen(WORKS, lost=f"{first}, then {found}, but not {' or '.join(allowed)}")
    left = litter(folder)
    return Seen(WORKS, wrong=f"left behind: {left}" if left else "")


def attempt(save: Save, number: int) -> Seen:
    """Kill a save before its system call `number`, and look."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save.before(folder)
        killed(number, lambda: save.save(folder))
        return checked(save, folder, save.allowed)


@contextmanager
def opened(random: Random) -> Iterator[Iterator[tuple[str, Callable[[], Seen]]]]:
    """Yield every call of every save, shuffled."""
    every = [(name, number) for name, save in SAVES.items() for number in range(calls(save) + 1)]
    random.shuffle(every)
    yield ((f"{name}, call {n}", partial(attempt, SAVES[name], n)) for name, n in every)
