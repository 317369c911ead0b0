"""An exception, Cancel or a failed allocation at a random operation of a run, and what the run leaves."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from random import Random
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

from faults import world
from faults.judge import EITHER, Seen

LIMIT = 120.0
"""Seconds that one fault may take."""

WHOLE_EVERY = 25
"""Faults after which a whole run must give the bits of the first one."""


class Injected(RuntimeError):
    """What the faults raise."""


class AtOperation(TorchDispatchMode):
    """Does something before the operation of a number.

    Args:
        number: from 0.
        act: may raise.
    """

    def __init__(self, number: int, act: Callable[[], None]):
        super().__init__()
        self.count = 0
        self._number, self._act = number, act

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count, act, and do the operation."""
        self.count += 1
        if self.count == self._number + 1:
            self._act()
        return function(*args, **(kwargs or {}))


def _raise() -> None:
    raise Injected("an injected fault")


def _allocate() -> None:
    raise RuntimeError(
        "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
        "allocate 68719476736 bytes. Error code 12 (Cannot allocate memory)"
    )


def attempt(bench: world.World, method: str, what: str, number: int) -> Seen:
    """Run with a fault, and look at the user's models, the error, and the result where there is one."""
    from comfy import model_management

    from purecc_pack.purecc.host.models.field import HostField

    passes, begun = [0], HostField.velocity
    cancelled = [False]

    def cancel() -> None:
        cancelled[0] = True
        model_management.interrupt_current_processing()

    def counted(self: Any, *args: Any) -> Any:
        passes[0] += cancelled[0]
        return begun(self, *args)

    acts = {"exception": _raise, "Cancel": cancel, "allocation": _allocate}
    said, error, meant, wrong = "", "", False, ""
    HostField.velocity = counted  # type: ignore
    try:
        with AtOperation(number, acts[what]):
            outcome = bench.train(bench.job(method))
        wrong = "" if world.finite(outcome.adapter) else "the adapter is not finite"
        if what == "exception":
            wrong = wrong or _swallowed(outcome, method)
    except model_management.InterruptProcessingException:
        meant = what == "Cancel"
        error = "InterruptProcessingException"
    except Injected:
        meant, error = what == "exception", "Injected"
    except Exception as raised:
        said, error = str(raised), type(raised).__name__
    finally:
        HostField.velocity = begun  # type: ignore
        world.collect()
    if passes[0] > 1:
        wrong = f"{passes[0]} passes of the network began after Cancel"
    changed = bench.changed()
    return Seen(EITHER, said, error, meant=meant, wrong=wrong, lost=changed and f"{changed} of the user changed")


def _swallowed(outcome: Any, method: str) -> str:
    """Return what is wrong with a run that ended well though one of its operations failed."""
    return "" if outcome.adapter.id == world.LATEST[method][1] else "the exception was swallowed, and the bits differ"


@contextmanager
def opened(random: Random) -> Iterator[Iterator[tuple[str, Callable[[], Seen]]]]:
    """Yield faults without end."""
    bench = world.World.made()
    for method in dict.fromkeys(world.METHODS):
        with AtOperation(-1, _raise) as counted:
            outcome = bench.train(bench.job(method))
        world.LATEST[method] = counted.count, outcome.adapter.id

    def whole(method: str) -> Seen:
        same = bench.train(bench.job(method)).adapter.id == world.LATEST[method][1]
        return Seen(EITHER, lost="" if same else "the next run does not give the bits of the first")

    def cases() -> Iterator[tuple[str, Callable[[], Seen]]]:
        k = 0
        while True:
            k += 1
            method = random.choice(world.METHODS)
            if k % WHOLE_EVERY == 0:
                yield f"{k}: {method}, the next run", partial(whole, method)
                continue
            what, number = (
                random.choice(("exception", "Cancel", "allocation")),
                random.randrange(world.LATEST[method][0]),
            )
            yield (
                f"{k}: {method}, {what} at operation {number}",
                partial(attempt, bench, method, what, number),
            )

    yield cases()
