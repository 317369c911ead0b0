"""Work through the concepts of a call, beside other processes that do the same."""

import time
from pathlib import Path
from typing import Any

import host
from concept_queue import DONE, LEFT, Claim, Clock, ConceptQueue
from concept_run import Concept, Runner
from heart import Heart
from launched import Place
from train_report import Report

DEATHS = 3
"""Processes that may die of a concept in a row before it counts as failed."""
POLL = 2.0
"""Seconds between two looks at what others work on, while nothing is free; up to `LONGEST`."""
LONGEST = 30.0


class Work:
    """The concepts of a call, taken from the queue in the output folder.

    Args:
        concepts: of the call.
        runner: runs one of them.
        report: written while they are done.
        clock: of the queue.
        place: of this process among those of its launch.
        resume: whether trainings that earlier calls broke off go on; those of a process that died always do.
    """

    def __init__(
        self, concepts: list[Concept], runner: Runner, report: Report, clock: Clock, place: Place, resume: bool
    ):
        self._concepts = {concept.key: concept for concept in concepts}
        self._runner, self._report, self._resume = runner, report, resume
        self._numbers = {key: number for number, key in enumerate(self._concepts, start=1)}
        folder = runner.out / "queue"
        self._queue = ConceptQueue(folder, self._concepts, clock, place.rank / place.count)
        if place.rank == 0:
            self._check()

    def all(self) -> int:
        """Work until no concept is left, also on those that other processes leave, and return the exit code."""
        wait = POLL
        while not self._stopped:
            claim = self._queue.take()
            if claim is not None:
                self.one(claim)
                wait = POLL
            elif self._queue.unfinished():
                time.sleep(wait)
                wait = min(LONGEST, 1.5 * wait)
            else:
                break
        return self.ended()

    def take(self) -> Claim | None:
        """Return a concept that is free."""
        return self._queue.take()

    def one(self, claim: Claim) -> dict[str, Any]:
        """Run a claimed concept, end the claim and return the entry."""
        concept = self._concepts[claim.key]
        if claim.deaths >= DEATHS:
            entry: dict[str, Any] = {
                "state": "failed",
                "error": f"{claim.deaths} processes in a row died while they trained it.",
            }
            entry |= {"name": concept.name, "prompt": concept.prompt, "files": []}
            host.say(f"{concept.name} failed: {entry['error']}")
        else:
            host.say(f"{concept.name} ({self._numbers[claim.key]} of {len(self._concepts)})")
            with Heart(self._queue, claim, self._runner.comfy.interrupt):
                entry = self._runner.run(concept, self._resume or claim.begun)
        left = self._runner.stopper.told_to_end and entry["state"] != DONE
        if not self._queue.end(claim, LEFT if left else entry["state"], entry):
            host.say(f"{concept.name}: another process has taken over, because this one stood still for too long")
        self._report.write()
        return entry

    def follow(self, go_on: bool) -> dict[str, Any]:
        """Run the only concept of the call without a claim, beside the process that has it."""
        (concept,) = self._concepts.values()
        return self._runner.run(concept, go_on or self._resume)

    def ended(self) -> int:
        """Write the report, and return the exit code."""
        entries = self._report.write(last=True)
        if self._stopped:
            return self._stopped
        states = [entries.get(concept.name, {}).get("state") for concept in self._concepts.values()]
        host.say(f"{states.count(DONE)} of {len(states)} done. The report is in {self._report.path}")
        return 0 if set(states) == {DONE} else 1

    @property
    def _stopped(self) -> int:
        """The exit code that a signal asks for, or 0."""
        stopper = self._runner.stopper
        return 143 if stopper.told_to_end else 130 if stopper.asked else 0

    def _check(self) -> None:
        """Say what is done, and open again what has lost its files."""
        for key, entry in self._queue.done().items():
            if all(Path(file).is_file() for file in entry.get("files", ())):
                host.say(f"{self._concepts[key].name}: done before")
            else:
                self._queue.reopen(key)


def together(work: Work, parallel) -> int:
    """Train the only concept of a call in all processes of a launch, and return the exit code.

    Args:
        work: the call.
        parallel: the pack's module of that name; this process has joined the others.
    """
    ranks, verdict = parallel.ours(), parallel.Verdict
    claim, mine = None, verdict.GO
    with ranks.telling():
        if ranks.first:
            claim = work.take()
            mine = verdict.STOP if claim is None else verdict.AGAIN if claim.begun else verdict.GO
    agreed = ranks.agree(mine)
    if claim is not None:
        work.one(claim)
    elif agreed is not verdict.STOP:
        return 0 if work.follow(agreed is verdict.AGAIN)["state"] in (DONE, "stopped") else 1
    return work.ended() if ranks.first else 0
