"""Integration of a velocity field from noise to data, and classifier-free guidance."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

import torch
from torch import Tensor


def guide(v: Tensor, v_empty: Tensor, cfg: float) -> Tensor:
    """Return v_∅ + cfg (v − v_∅): classifier-free guidance.

    Args:
        v: velocities of the prompts, [B, C, H, W].
        v_empty: those of the empty prompt at the same x_t and t.
        cfg: the guidance scale; 1 gives v.
    """
    return v_empty + cfg * (v - v_empty)


@torch.no_grad()
def trajectory(
    velocity: Callable[[Tensor, Tensor], Tensor], noise: Tensor, t: Tensor, order: int = 1
) -> Iterator[Tensor]:
    """Yield the states x_t of dx/dt = v from t[0] times the noise on, one for each entry of t.

    Args:
        velocity: (x_t [B, C, H, W], t [B]) -> v; called once a step.
        noise: x_1, [B, C, H, W].
        t: [S + 1], falling.
        order: 1 is Euler's method; 2 goes on with the slope of v between two steps (Adams and Bashforth).
    """
    x = t[0].to(noise) * noise
    yield x
    before, last = None, 0.0
    for now, then in zip(t[:-1].tolist(), t[1:].tolist(), strict=True):
        v, step = velocity(x, torch.full((len(x),), now, device=x.device)), then - now
        x = x + step * (v if order == 1 or before is None else v + step / (2 * last) * (v - before))
        before, last = v, step
        yield x


def sample(velocity: Callable[[Tensor, Tensor], Tensor], noise: Tensor, t: Tensor, order: int = 1) -> Tensor:
    """Return x_0, the last state of `trajectory`, [B, C, H, W]."""
    return deque(trajectory(velocity, noise, t, order), maxlen=1)[0]
