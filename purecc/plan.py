"""How a run fits into memory: the fewest blocks computed again, and how many samples go through at once."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from .recipes import Recipe, shares

ROUNDING = 0.05
"""Of the peak: what an allocator loses to sizes that it rounds and to gaps between tensors."""

WORKSPACE = 300_000_000
"""Bytes of matrix products' workspaces (32 MiB a handle on the newest cards) and of kernels loaded as they are used."""

BACKWARD = 1.1
"""What a backward pass costs, in forward passes, where none of the base's own weights takes a gradient."""


@dataclass(frozen=True)
class Footprint:
    """What a pass with gradient holds, in bytes, the weights not counted.

    Attributes:
        plain: what each block keeps for its backward pass, in the order of the blocks.
        again: what each keeps if it is computed again: its inputs.
        outside: what is kept outside the blocks.
        passing: the most that comes and goes beside all that.
        repeating: the same while a block is computed again.
    """

    plain: tuple[int, ...]
    again: tuple[int, ...]
    outside: int
    passing: int
    repeating: int

    def kept(self, count: int) -> int:
        """Bytes at the end of the forward pass with the first `count` blocks checkpointed."""
        return self.outside + sum(self.again[:count]) + sum(self.plain[count:])

    def peak(self, count: int) -> int:
        """The most bytes there are at any moment: at that end, or while a block is computed again."""
        return max(self.kept(count) + self.passing, self.repeated(count) + self.repeating * (count > 0))

    def repeated(self, count: int) -> int:
        """Bytes when a block has been computed again and those after it are gone, at the largest such."""
        beneath, most = self.outside, 0
        for again, plain in list(zip(self.again, self.plain, strict=True))[:count]:
            beneath += again
            most = max(most, beneath + plain)
        return most


@dataclass(frozen=True)
class Demand:
    """What a run asks of memory, in bytes.

    Attributes:
        footprint: of the samples that take a gradient.
        samples: the most that go through together without one.
        each: what each of these holds.
        state: gradients and the optimiser's moments.
        resident: weights that are on the device already.
        elsewhere: weights that are not, and come when a pass needs them.
    """

    footprint: Footprint
    samples: int
    each: int
    state: int
    resident: int
    elsewhere: int = 0

    def needs(self, count: int, limit: int | None) -> int:
        """Bytes in all; passes without gradient come first, when nothing is kept yet."""
        peak = max(self.footprint.peak(count), self.each * min(self.samples, limit or self.samples))
        return int(peak * (1 + ROUNDING)) + self.state + WORKSPACE + self.resident + self.elsewhere

    def room(self, free: int) -> int:
        """How large a peak may be where so many bytes are free beside the resident ones."""
        return int((free - self.elsewhere - self.state - WORKSPACE) / (1 + ROUNDING))


@dataclass(frozen=True)
class Plan:
    """How a run is to fit.

    Attributes:
        count: the first blocks, so many, are checkpointed.
        blocks: of the network.
        pass_limit: the most samples in one pass without gradient; None: no limit.
        needs: bytes in all; None where nothing was counted.
        has: bytes that there are in all for it, where it needs more; else None.
        seconds: about how long the steps will take; None where no pass was timed.
        elsewhere: bytes of weights that are not on the device: every pass fetches them.
    """

    count: int
    blocks: int
    pass_limit: int | None = None
    needs: int | None = None
    has: int | None = None
    seconds: float | None = None
    elsewhere: int = 0

    def __str__(self) -> str:
        """Such as "needs about 6.9 GB; checkpointing 18 of 24 blocks; about 4 minutes"."""
        parts = [] if self.needs is None else [f"needs about {self.needs / 1e9:.1f} GB"]
        if self.has is not None:
            parts.append(f"there are {self.has / 1e9:.1f} GB, so it may fail")
        if round(self.elsewhere / 1e9, 1):
            parts.append(f"{self.elsewhere / 1e9:.1f} GB of weights are not on the GPU, and fetched by every pass")
        parts.append(f"checkpointing {self.count} of {self.blocks} blocks" if self.count else "no checkpointing")
        if self.pass_limit is not None:
            parts.append(f"{self.pass_limit} sample{'s' * (self.pass_limit > 1)} a pass without gradient")
        if self.seconds is not None:
            parts.append(f"about {_duration(self.seconds)}")
        return "; ".join(parts)

    def lasting(self, steps: int, samples: int, recipe: Recipe, graded: float, still: float) -> Plan:
        """This plan with the time that its steps will take.

        Args:
            steps: of the run.
            samples: of a step, those of all its batches.
            recipe: the method.
            graded: seconds that a sample takes in a forward pass of the learner.
            still: the same in a pass without gradient.
        """
        both = 1 + BACKWARD + self.count / max(1, self.blocks)
        step = sum(share * (both * graded if p.grad else still) for p, share in shares(recipe).items())
        return replace(self, seconds=steps * samples * step)


def choose(demand: Demand, free: int, count: int | None = None, limit: int | None = None) -> Plan:
    """The plan that computes the least twice among those that fit; where none does, the smallest.

    Args:
        demand: of the run.
        free: bytes beside those that are resident.
        count: checkpointed blocks, where that is not to be chosen.
        limit: the most samples in one pass without gradient that the caller wants.
    """
    blocks, room, peak = len(demand.footprint.plain), demand.room(free), demand.footprint.peak
    if demand.each * min(demand.samples, limit or demand.samples) > room:
        limit = max(1, room // demand.each)
    if count is None:
        count = next((n for n in range(blocks + 1) if peak(n) <= room), min(range(blocks + 1), key=peak))
    needs, has = demand.needs(count, limit), demand.resident + free
    return Plan(count, blocks, limit, needs, None if needs <= has else has, elsewhere=demand.elsewhere)


def samples(recipe: Recipe, batch: int) -> tuple[int, int]:
    """(with gradient, without): samples that a step holds at once, and the most that go through one branch together."""
    still: dict[str | None, int] = {}
    for p in recipe.passes:
        if not p.grad:
            still[p.branch] = still.get(p.branch, 0) + batch
    return batch * sum(p.grad for p in recipe.passes), max(still.values(), default=0)


def _duration(seconds: float) -> str:
    for limit, unit, name in ((90, 1, "second"), (5400, 60, "minute"), (math.inf, 3600, "hour")):
        if seconds < limit:
            count = max(1, round(seconds / unit))
            return f"{count} {name}{'s' * (count > 1)}"
    raise ValueError(f"{seconds} seconds are no duration.")
