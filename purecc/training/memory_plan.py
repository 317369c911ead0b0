"""Plans how a run fits into memory: the fewest checkpointed blocks, and the most samples in one pass."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ..method.recipe import Recipe

ROUNDING = 0.05
"""Share of the peak that an allocator loses to rounded sizes and to gaps between tensors."""

WORKSPACE = 300_000_000
"""Bytes of the workspaces of matrix products (32 MiB a handle on the newest cards) and of kernels loaded in use."""

BACKWARD = 1.1
"""Cost of a backward pass in forward passes, where none of the base's weights takes a gradient."""


@dataclass(frozen=True)
class Footprint:
    """The memory of a pass with gradient, in bytes, without the weights.

    Attributes:
        plain: kept by each block for its backward pass, in the order of the blocks.
        again: kept by each block if it is checkpointed: its inputs.
        outside: kept outside the blocks.
        passing: the most temporary memory beside all that.
        repeating: the same while a block is computed again.
    """

    plain: tuple[int, ...]
    again: tuple[int, ...]
    outside: int
    passing: int
    repeating: int

    def kept(self, count: int) -> int:
        """Return the bytes at the end of the forward pass with the first `count` blocks checkpointed."""
        return self.outside + sum(self.again[:count]) + sum(self.plain[count:])

    def peak(self, count: int) -> int:
        """Return the most bytes at any moment: at that end, or while a block is computed again."""
        return max(self.kept(count) + self.passing, self.repeated(count) + self.repeating * (count > 0))

    def repeated(self, count: int) -> int:
        """Return the most bytes when a block has been computed again and those after it are gone."""
        beneath, most = self.outside, 0
        for again, plain in list(zip(self.again, self.plain, strict=True))[:count]:
            beneath += again
            most = max(most, beneath + plain)
        return most


@dataclass(frozen=True)
class Demand:
    """The memory that a run needs, in bytes.

    Attributes:
        footprint: of the samples that take a gradient.
        samples: the most that go through one pass without gradient.
        each: held by each of these.
        state: gradients and the optimiser's moments.
        resident: weights that are on the device already.
        elsewhere: weights that are not.
        streamable: weights that may be elsewhere, because passes can fetch them layer by layer.
        fetched: held by the layers that a pass fetches at a time.
    """

    footprint: Footprint
    samples: int
    each: int
    state: int
    resident: int
    elsewhere: int = 0
    streamable: int = 0
    fetched: int = 0

    def beside(self, count: int, limit: int | None, away: int = 0) -> int:
        """Return the bytes beside the weights, so many of which are away and fetched by every pass."""
        # Passes without gradient come first, when nothing is kept yet.
        peak = max(self.footprint.peak(count), self.each * min(self.samples, limit or self.samples))
        return int(peak * (1 + ROUNDING)) + self.state + WORKSPACE + self.fetched * (away > 0)

    def needs(self, count: int, limit: int | None, away: int = 0) -> int:
        """Return the bytes in all, with so many bytes of weights away."""
        return self.beside(count, limit, away) + self.resident + self.elsewhere - away

    def room(self, free: int, away: int = 0) -> int:
        """Return how large a peak may be where so many bytes are free beside the resident ones."""
        left = free - self.elsewhere + away - self.fetched * (away > 0)
        return int((left - self.state - WORKSPACE) / (1 + ROUNDING))

    def away(self, peak: int, free: int) -> int:
        """Return the bytes of weights that have to be away for such a peak, or all that can be."""
        missing = (peak - self.room(free)) * (1 + ROUNDING)
        return 0 if missing <= 0 else min(self.streamable, math.ceil(missing) + self.fetched + 1)


@dataclass(frozen=True)
class Plan:
    """How a run fits into memory, and how long it takes.

    Attributes:
        count: number of checkpointed blocks, from the first.
        blocks: number of the network's blocks.
        pass_limit: the most samples in one pass without gradient; None: no limit.
        needs: bytes in all; None where nothing was counted.
        has: bytes that are there for it, where it needs more; else None.
        seconds: estimated time of the steps; None where no pass was timed.
        elsewhere: bytes of weights that are not on the device: every pass loads them.
        reserve: bytes to leave free beside the weights, where some are to be elsewhere; else None.
        uncounted: why the bytes of this model cannot be counted, where they should be.
    """

    count: int
    blocks: int
    pass_limit: int | None = None
    needs: int | None = None
    has: int | None = None
    seconds: float | None = None
    elsewhere: int = 0
    reserve: int | None = None
    uncounted: str = ""

    def __str__(self) -> str:
        """Return a line for logs, such as "needs about 6.9 GB; checkpointing 18 of 24 blocks; about 4 minutes"."""
        parts = [] if self.needs is None else [f"needs about {self.needs / 1e9:.1f} GB"]
        if self.uncounted:
            parts.append(f"memory cannot be counted ({self.uncounted})")
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
        """Return this plan with the estimated time of its steps.

        Args:
            steps: of the run.
            samples: of a step, those of all its batches.
            recipe: the method.
            graded: seconds that a sample takes in a forward pass of the learner.
            still: the same in a pass without gradient.
        """
        both = 1 + BACKWARD + self.count / max(1, self.blocks)
        step = sum(share * (both * graded if p.grad else still) for p, share in recipe.shares.items())
        return replace(self, seconds=steps * samples * step)


def choose(demand: Demand, free: int, count: int | None = None, limit: int | None = None) -> Plan:
    """Return the plan with the fewest checkpointed blocks that fits; where none fits, the smallest.

    Where the smallest does not fit beside the weights, as few of them as possible stay away from the device.

    Args:
        demand: of the run.
        free: bytes beside those that are resident.
        count: checkpointed blocks, where the caller chooses.
        limit: the most samples in one pass without gradient that the caller wants.
    """
    blocks, peak = len(demand.footprint.plain), demand.footprint.peak
    least = min(range(blocks + 1), key=peak) if count is None else count
    away = demand.away(max(peak(least), demand.each), free)
    room = demand.room(free, away)
    if demand.each * min(demand.samples, limit or demand.samples) > max(0, room):
        limit = max(1, room // demand.each)
    if count is None:
        count = next((n for n in range(blocks + 1) if peak(n) <= room), least)
    needs, has = demand.needs(count, limit, away), demand.resident + free
    reserve = demand.beside(count, limit, away) if away else None
    return Plan(count, blocks, limit, needs, None if needs <= has else has, elsewhere=away, reserve=reserve)


def samples(recipe: Recipe, batch: int) -> tuple[int, int]:
    """Return the samples with gradient that a step holds at once, and the most without in one pass of a branch."""
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
