"""Run the prompt of one concept in the host of this process, and say how it went."""

import copy
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import concept_table
import host
from client import ExecutionError, Interrupted, PromptError
from progress import Progress

AT_ONCE = 1.0
"""Seconds in which a second Ctrl-C is the same one, which a launcher passes on."""


class Stopper:
    """Takes the signals of a process: the first Ctrl-C stops training and keeps the result, the second cancels."""

    def __init__(self, comfy):
        self._comfy = comfy
        self.asked, self.told_to_end = 0, False
        self._last = 0.0

    def stop(self, *_) -> None:
        """Take one Ctrl-C."""
        before, self._last = self._last, time.monotonic()
        if self.asked and self._last - before < AT_ONCE:
            return
        self.asked += 1
        if self.asked == 1:
            host.say("\nStopping after the current step; Ctrl-C again cancels.")
            self._comfy.stop()
        else:
            self._comfy.interrupt()

    def end(self, *_) -> None:
        """Break off with the state of the run saved, for another process to go on."""
        self.told_to_end = True
        self._comfy.interrupt()


@dataclass(frozen=True)
class Concept:
    """One concept of a call.

    Attributes:
        name: in the report.
        prompt: in API format.
        key: in the queue: the name, and a hash of the prompt.
        images: where its images go.
    """

    name: str
    prompt: dict[str, Any]
    key: str
    images: Path


@dataclass(frozen=True)
class Runner:
    """Runs concepts.

    Attributes:
        comfy: the host.
        saved: the workflow, for saved images.
        titles: of its nodes.
        out: folder of adapters and images.
        stopper: takes signals.
        quiet: whether only training nodes run and nothing is shown, as in a process that follows another.
    """

    comfy: Any
    saved: dict[str, Any]
    titles: dict[str, str]
    out: Path
    stopper: Stopper
    quiet: bool = False

    def run(self, concept: Concept, resume: bool) -> dict[str, Any]:
        """Run a concept and return its entry of the report: state, seconds, files, error.

        Args:
            concept: to run.
            resume: whether it goes on with a training that was broken off.
        """
        shown = {key: self.titles.get(key) or getattr(self.comfy.nodes[node["class_type"]], "DISPLAY_NAME", None) or
                 node["class_type"] for key, node in concept.prompt.items()}  # fmt: skip
        progress, began = Progress(shown), time.time()
        entry: dict[str, Any] = {"name": concept.name, "state": "done", "prompt": concept.prompt}
        prompt = copy.deepcopy(concept.prompt)  # the host writes into it
        trainers = [key for key, node in prompt.items() if node["class_type"] in concept_table.TRAINERS]
        for key in trainers if resume else ():
            prompt[key]["inputs"]["resume"] = "auto"
        workflow = self.saved if "nodes" in self.saved else None
        self.comfy.use(concept.images, self.out / "states" / re.sub(r"[^\w-]+", "_", concept.key))
        try:
            self.comfy.run(prompt, workflow, None if self.quiet else progress, trainers if self.quiet else None)
        except (ExecutionError, PromptError) as error:
            entry |= {"state": "failed", "error": str(error)}
            host.say(f"  {concept.name} failed: {error}")
        except Interrupted as error:
            entry |= {"state": "cancelled", "error": str(error)}
        finally:
            progress.close()
        if self.stopper.asked and entry["state"] == "done":
            entry["state"] = "stopped"
        return entry | {"seconds": round(time.time() - began, 2), "files": self._files(concept, began)}

    def _files(self, concept: Concept, began: float) -> list[str]:
        """Return the images, adapters and embeddings of a concept that were written since."""
        named = "|".join(map(re.escape, concept_table.names(concept.prompt)))
        own = re.compile(rf"({named})(_(step\d+|best)(_\d+)?)?(\..+)?")
        made = [
            path
            for kind in ("loras", "embeddings")
            for path in (self.out / kind).rglob("*")
            if own.fullmatch(path.name)
        ]
        made += concept.images.rglob("*")
        return [str(path) for path in sorted(made) if path.is_file() and path.stat().st_mtime >= began]
