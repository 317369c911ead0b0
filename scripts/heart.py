"""Keep a claim alive while its process works on it."""

import threading
from collections.abc import Callable

from concept_queue import BEAT, Claim, ConceptQueue


class Heart:
    """Touches a claim from a thread of its own; a context manager.

    Args:
        queue: of the claim.
        claim: of this process.
        lost: called once if another process has taken over, because this one stood still for too long.
    """

    def __init__(self, queue: ConceptQueue, claim: Claim, lost: Callable[[], None]):
        self._queue, self._claim, self._lost = queue, claim, lost
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Heart":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(BEAT):
            try:
                mine = self._queue.beat(self._claim)
            except OSError:  # a network file system that is away for a moment
                continue
            if not mine:
                self._lost()
                return
