"""Count the system calls of a piece of Python, and do something in place of one of them."""

import os
import signal
import sys
from collections.abc import Callable

SYSTEM = ("posix", "nt", "_io", "posix.DirEntry")
_PASSED = ("fspath", "stat", "lstat", "getpid", "readable", "writable", "seekable", "tell", "fileno", "getvalue")


class AtCall:
    """Runs a function before the system call of a number; its exception takes the place of the call.

    Args:
        number: from 0.
        act: the function; takes the name of the call.
        only: names of calls that count; None: all.
    """

    def __init__(self, number: int, act: Callable[[str], None], only: tuple[str, ...] | None = None):
        self.calls = 0
        self.reached = False
        self._number, self._act, self._only = number, act, only

    def __enter__(self) -> "AtCall":
        sys.setprofile(self._seen)
        return self

    def __exit__(self, *_) -> None:
        sys.setprofile(None)

    def _seen(self, frame, event, called) -> None:
        of = getattr(called, "__module__", None) or type(getattr(called, "__self__", None)).__module__
        if event != "c_call" or of not in SYSTEM or called.__name__ in _PASSED:
            return
        if self._only is not None and called.__name__ not in self._only:
            return
        self.calls += 1
        if self.calls == self._number + 1:
            self.reached = True
            self._act(called.__name__)


def killed(number: int, work: Callable[[], object]) -> bool:
    """Do work in a forked process that is killed before its system call `number`; return whether it got there."""
    child = os.fork()
    if not child:
        try:
            with AtCall(number, lambda name: os.kill(os.getpid(), signal.SIGKILL)):
                work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
