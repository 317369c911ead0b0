"""Euler integration of a velocity field from noise to data, for previews, class images and measuring points."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

import torch
from torch import Tensor


def times(steps: int, shift: float = 3.0) -> Tensor:
    """[steps + 1] from 1 to 0, evenly spaced before t' = s t / (1 + (s - 1) t)."""
    t = torch.linspace(1.0, 0.0, steps + 1)
    return shift * t / (1.0 + (shift - 1.0) * t)


@torch.no_grad()
def trajectory(velocity: Callable[[Tensor, Tensor], Tensor], noise: Tensor, t: Tensor) -> Iterator[Tensor]:
    """States x_t of dx/dt = v from noise at t[0] on, one for each entry of t.

    Args:
        velocity: (x_t [B, C, H, W], t [B]) -> v.
        noise: x_1, [B, C, H, W].
        t: [S + 1], falling.
    """
    x = noise
    yield x
    for now, then in zip(t[:-1].tolist(), t[1:].tolist(), strict=True):
        x = x + (then - now) * velocity(x, torch.full((len(x),), now, device=x.device))
        yield x


def sample(velocity: Callable[[Tensor, Tensor], Tensor], noise: Tensor, t: Tensor) -> Tensor:
    """x_0, [B, C, H, W]."""
    return deque(trajectory(velocity, noise, t), maxlen=1)[0]
