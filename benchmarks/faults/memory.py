"""Real limits on the memory of a process that trains."""

import json
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random

from faults import world
from faults.judge import EITHER, Seen

LIMIT = 120.0
"""Seconds that one fault may take."""


def address_space() -> int:
    """Return the bytes of address space that this process has."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * 4096


def attempt(bench: world.World, method: str, room: int) -> Seen:
    """Run in a forked process that may take so many bytes more."""
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        os.close(ours)
        limit = address_space() + room
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        try:
            outcome = bench.train(bench.job(method))
            said = {"wrong": "" if world.finite(outcome.adapter) else "the adapter is not finite"}
        except BaseException as error:
            said = {"said": str(error), "error": type(error).__name__}
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
        os.write(theirs, json.dumps(said).encode())
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        content = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status or not content:
        return Seen(EITHER, f"the process ended with {status}", "ServerError")
    return Seen(EITHER, **json.loads(content), names=("memory",), lost=bench.changed())


@contextmanager
def opened(random: Random) -> Iterator[Iterator[tuple[str, Callable[[], Seen]]]]:
    """Yield limits without end."""
    bench = world.World.made()

    def cases() -> Iterator[tuple[str, Callable[[], Seen]]]:
        k = 0
        while True:
            k += 1
            method, room = random.choice(world.METHODS), int(2 ** random.uniform(18, 28))
            yield f"{k}: {method}, {room} bytes more", partial(attempt, bench, method, room)

    yield cases()
