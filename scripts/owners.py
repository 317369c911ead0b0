"""Say which process this is, and whether another one is still there."""

import contextlib
import os
import socket
from pathlib import Path
from typing import Any


def machine() -> str:
    """Return what tells this machine since its start, or this container, from every other."""
    parts = [socket.gethostname()]
    boot, space = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    with contextlib.suppress(OSError):  # not Linux
        parts += [boot.read_text().strip(), str(space.readlink())]
    return " ".join(parts)


def this() -> dict[str, Any]:
    """Return the identity of this process, JSON values."""
    return {"machine": machine(), "pid": os.getpid(), "started": _started(os.getpid())}


def is_dead(owner: dict[str, Any]) -> bool:
    """Return whether that process has surely ended; False also where it cannot be told, as on another machine."""
    if os.name != "posix" or not isinstance(owner.get("pid"), int) or owner.get("machine") != machine():
        return False
    try:
        os.kill(owner["pid"], 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return _started(owner["pid"]) != owner.get("started")  # another process has its number now


def _started(pid: int) -> str:
    """Return when a process began, by the kernel's clock; empty if unknown, or if only its exit code is left of it."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return ""
    return "" if state in "ZX" else fields[18]
