"""Know the bases that methods are compared on: the embedded one, and two more, which `train_tiny.py kind` makes.

A rate that suits one network need not suit another. So every method's rate is searched on each base, over one grid, on
one concept with one seed; everything else is as on the embedded base, whose own searches gave its rates.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from methods import METHODS, Method, label
from report import Runs, rows
from statistics_of_runs import score

if TYPE_CHECKING:
    from bench import World

ROOT = Path(__file__).resolve().parents[2]
CONCEPT = "robot"
COMPARED = ("lora-token", "purecc", "anchored-node")
GRID = (1e-3, 3e-3, 9e-3)
"""Rates of the LoRA, for every method on every base."""

Run = tuple[str, str, tuple[tuple[str, float], ...]]


@dataclass(frozen=True)
class Base:
    """A base.

    Attributes:
        name: EMBEDDED, or a key of `kinds.KINDS`.
        title: for people.
    """

    name: str
    title: str

    @property
    def checkpoint(self) -> Path:
        """The file that `train_tiny.py kind NAME` writes."""
        return ROOT / "build" / "tiny" / self.name / f"{self.name}.safetensors"

    @property
    def scores(self) -> dict[str, dict[float, float]]:
        """The scores of the search on this base, by method and rate."""
        found = Runs(rows(f"{self.name}/search"))
        names = {(key, rate): label(key, {"lr": rate}) for key in COMPARED for rate in GRID}
        out: dict[str, dict[float, float]] = {key: {} for key in COMPARED}
        for (key, rate), name in names.items():
            if curves := found.curves.get(name):
                out[key][rate] = score(curves, found.base)(list(curves))
        return out

    @property
    def rates(self) -> dict[str, float]:
        """The rate of the best score, of every method whose whole grid was run; the lowest of equals."""
        return {key: max(own, key=lambda rate: own[rate]) for key, own in self.scores.items() if len(own) == len(GRID)}

    @property
    def methods(self) -> dict[str, Method]:
        """The methods of the benchmark, at the rates of this base where they were searched."""
        return METHODS | {key: METHODS[key].at(lr=rate) for key, rate in self.rates.items()}


EMBEDDED = "tiny"
BASES: dict[str, Base] = {
    EMBEDDED: Base(EMBEDDED, "MMDiT, flow (PureCC Tiny)"),
    "unet": Base("unet", "U-Net, ε prediction"),
    "flux": Base("flux", "single/double-stream, flow"),
}


NOTES = (
    "This page is not finished. The U-Net is not trained: after 500 steps with the plain loss on ε its images were at "
    "chance (thing .08 of 24 images), and the loss that replaced it has not run long enough to judge.",
    "The Flux-kind base is trained: it draws thing, colour and background of held-out prompts in .96 of 156 images; "
    "PureCC Tiny in all. No method has been run on it to the end.",
)
"""What the results page says of the figures, paragraph by paragraph."""


def world(name: str, state: Path) -> World:
    """Return the benchmark's world on a base; "" is the embedded one, too.

    Raises:
        FileNotFoundError: the base was not made yet, and how to make it.
    """
    from bench import World

    if name in ("", EMBEDDED):
        return World(state)
    from purecc_pack.tiny_world import kinds

    return World(state, kinds.load(BASES[name].checkpoint, []), BASES[name].methods)


def runs(phase: str) -> list[Run]:
    """Return the runs of a phase on a base: the rates of the search, or the compared methods.

    Raises:
        ValueError: it has no such phase.
    """
    if phase not in ("search", "ablate"):
        raise ValueError(f"phase {phase!r} takes no --base. Choose search or ablate.")
    if phase == "ablate":
        return [(key, key, ()) for key in COMPARED]
    return [(label(key, {"lr": rate}), key, (("lr", rate),)) for key in COMPARED for rate in GRID]
