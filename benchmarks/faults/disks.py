"""A full disk, a read-only folder, a failing disk and a file held open, at each system call of every save."""

import errno
import os
import resource
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random

from faults.judge import EITHER, Seen
from faults.killed_saves import calls, checked
from faults.saves import SAVES, Save
from faults.syscalls import AtCall

LIMIT = 30.0
"""Seconds that one fault may take."""

ERRORS = ("ENOSPC", "EDQUOT", "EROFS", "EACCES", "EIO")
MAY_FAIL = ("open", "write", "flush", "fsync", "replace", "link", "unlink", "mkdir", "read", "scandir", "listdir")
"""Calls that a file system can refuse."""


def injected(save: Save, number: int, name: str) -> Seen:
    """Let one system call of a save fail."""
    code = getattr(errno, name)

    def fail(call: str) -> None:
        raise OSError(code, os.strerror(code))

    return _tried(save, AtCall(number, fail, MAY_FAIL))


def _tried(save: Save, fault) -> Seen:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save.before(folder)
        said, kind = "", ""
        try:
            with fault:
                save.save(folder)
        except Exception as error:
            said, kind = str(error), type(error).__name__
        seen = checked(save, folder, save.allowed)
        if seen.lost or seen.wrong:
            return seen
        return Seen(EITHER, said.replace(str(folder), "FOLDER"), kind, ("FOLDER",))


class Limit:
    """A real limit on the size of a file: writes beyond it fail with EFBIG, and leave what was written before."""

    def __init__(self, most: int):
        self._most = most

    def __enter__(self) -> None:
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self._most, self._before[1]))

    def __exit__(self, *_) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)


@contextmanager
def opened(random: Random) -> Iterator[Iterator[tuple[str, Callable[[], Seen]]]]:
    """Yield every error at every call of every save, and limits on the size of a file, shuffled."""
    every: list[tuple[str, str, int]] = []
    for name, save in SAVES.items():
        count = calls(save)
        every += [(name, error, number) for error in ERRORS for number in range(count)]
        every += [(name, "EFBIG", random.randrange(6000)) for _ in range(300)]
    every = list(dict.fromkeys(every))
    random.shuffle(every)

    def attempt(name: str, error: str, number: int) -> Seen:
        if error == "EFBIG":
            return _tried(SAVES[name], Limit(number))
        return injected(SAVES[name], number, error)

    yield ((f"{n}, {e} at {k}", partial(attempt, n, e, k)) for n, e, k in every)
