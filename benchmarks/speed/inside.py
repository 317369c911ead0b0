"""What a step of ours consists of, from marks between its parts, in steps that are not timed otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from unittest import mock

import torch
from torch import Tensor
from torch.optim import optimizer as optimisers

from purecc_pack.purecc.trainee import Speaker, Trainee
from speed import clock

STEPS = 3
"""The first of which is not counted."""


@dataclass(frozen=True)
class _Marked(Trainee):
    """Ends a part at the end of every pass."""

    mark: Callable[[str], None] = lambda name: None

    def run(self, branch: str | None, *args, **options) -> Tensor:
        self.mark("between")
        out = super().run(branch, *args, **options)
        self.mark(f"{branch or 'base'} forward{' with gradient' * torch.is_grad_enabled()}")
        return out


def inside(
    trainee: Trainee, device: torch.device, train: Callable[[Trainee, int, Callable], object]
) -> dict[str, float]:
    """Median seconds of each part of a step.

    Args:
        trainee: what takes part.
        device: where.
        train: called with a trainee, the number of steps, and what it is to call after every step.
    """
    laps = [clock.Laps(device)]

    def mark(name: str = "") -> None:
        laps[-1](name)

    def finished(_) -> None:
        mark("between")
        laps.append(clock.Laps(device))
        mark()

    def conditioning(speaker: Speaker) -> Speaker:
        def condition(texts: Sequence[str]):
            out = speaker.conditioner(texts)
            mark("texts")
            return out

        return Speaker(speaker.embedding, condition)

    backward = torch.Tensor.backward

    def marked_backward(*args, **options) -> None:
        mark("between")
        backward(*args, **options)
        mark("backward")

    speakers = {name: conditioning(speaker) for name, speaker in trainee.speakers.items()}
    marked = _Marked(**{**vars(trainee), "speakers": speakers}, mark=mark)
    hooks = [
        optimisers.register_optimizer_step_pre_hook(lambda *_: mark("clipping")),
        optimisers.register_optimizer_step_post_hook(lambda *_: mark("optimiser")),
    ]
    mark()
    try:
        with mock.patch.object(torch.Tensor, "backward", marked_backward):
            train(marked, STEPS, finished)
    finally:
        for hook in hooks:
            hook.remove()
    return clock.medians(laps[1:STEPS])
