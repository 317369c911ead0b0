"""Several processes that train one adapter: each takes rows of every batch, and all make the same step.

One process is `ALONE`, which does nothing and imports nothing. `join` gives the ranks of a process that
`accelerate launch` started; their operations are Hugging Face accelerate's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum

import torch
from torch import Tensor, nn

PATIENCE = timedelta(hours=2)
"""How long a rank waits for the others; the first one saves and samples meanwhile."""


class Verdict(IntEnum):
    """What a rank says of its part; the greatest of all ranks holds for all."""

    GO = 0
    AGAIN = 1
    STOP = 2
    FAILED = 3


class OtherRankFailed(RuntimeError):
    """Training ends because another process failed; that process says why."""


@dataclass(frozen=True)
class Ranks:
    """The processes that train together, seen from one of them. This class is for one process, which needs no other.

    Attributes:
        count: number of processes.
        rank: of this one, from 0; the first saves, samples and measures.
    """

    count: int = 1
    rank: int = 0

    @property
    def first(self) -> bool:
        """Whether this process saves, samples and measures."""
        return self.rank == 0

    def rows(self, size: int) -> slice:
        """Return this rank's rows of a batch.

        Raises:
            ValueError: the rows cannot be divided evenly.
        """
        if size % self.count:
            raise ValueError(f"A batch of {size} cannot be divided among {self.count} processes.")
        share = size // self.count
        return slice(self.rank * share, (self.rank + 1) * share)

    def agree(self, mine: Verdict) -> Verdict:
        """Return the greatest verdict of all ranks.

        Raises:
            OtherRankFailed: another rank failed, and this one did not.
        """
        return mine

    def average(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace gradients by their mean over the ranks; one that is missing on some ranks counts as 0 there."""

    def begin(self, parameters: Sequence[nn.Parameter], step: int) -> None:
        """Replace parameters by those of the first rank, before the step after this one.

        Raises:
            ValueError: other ranks begin at another step.
        """

    def gather(self, values: Tensor) -> Tensor:
        """Return the values [K] of all ranks, [N K], in their order."""
        return values

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Tell the other ranks of an error inside, so that they do not wait; they are at `agree`."""
        try:
            yield
        except BaseException:
            self.agree(Verdict.FAILED)
            raise


class Joined(Ranks):
    """Several processes; their operations are collective: every rank calls the same ones in the same order."""

    def agree(self, mine: Verdict) -> Verdict:
        """See Ranks."""
        from accelerate import PartialState

        every = self.gather(torch.tensor([int(mine)], device=PartialState().device)).tolist()
        if max(every) == Verdict.FAILED and mine is not Verdict.FAILED:
            raise OtherRankFailed(
                f"Process {every.index(Verdict.FAILED)} of {self.count} failed and says why; the others stop with it."
            )
        return Verdict(max(every))

    def average(self, parameters: Sequence[nn.Parameter]) -> None:
        """See Ranks."""
        from accelerate.utils import reduce

        known = torch.tensor([float(p.grad is not None) for p in parameters], device=parameters[0].device)
        own = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = reduce(torch.cat([known, *(g.float().reshape(-1) for g in own)]), "mean")
        somewhere, mean = flat.split([len(parameters), flat.numel() - len(parameters)])
        parts = mean.split([p.numel() for p in parameters])
        for p, part, any_known in zip(parameters, parts, somewhere.tolist(), strict=True):
            p.grad = part.view_as(p).to(p.dtype) if any_known else None

    @torch.no_grad()
    def begin(self, parameters: Sequence[nn.Parameter], step: int) -> None:
        """See Ranks."""
        from accelerate.utils import broadcast

        steps = self.gather(torch.tensor([step], device=parameters[0].device)).tolist()
        if len(set(steps)) > 1:
            raise ValueError(
                f"The processes go on from different steps, {', '.join(map(str, steps))}: let all use one --out folder."
            )
        for p in parameters:
            p.copy_(broadcast(p.detach().clone()))

    def gather(self, values: Tensor) -> Tensor:
        """See Ranks."""
        from accelerate.utils import gather

        return gather(values)


ALONE = Ranks()
_here = [ALONE]


def join(cpu: bool = False) -> Ranks:
    """Have this process train together with the others of its launch from now on, and return their ranks.

    Args:
        cpu: stay on the CPU; else each process takes the GPU of its number on its machine.
    """
    from accelerate import PartialState

    state = PartialState(cpu, timeout=PATIENCE)
    if state.num_processes > 1:
        _here[0] = Joined(state.num_processes, state.process_index)
    return _here[0]


def ours() -> Ranks:
    """Return the ranks of this process: `ALONE` unless it has joined others."""
    return _here[0]
