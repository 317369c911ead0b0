"""Optimise matrices by momentum with orthogonalised updates, which needs fewer steps than Adam here."""

from __future__ import annotations

from collections import defaultdict

import torch


def orthogonalise(matrices: torch.Tensor, iterations: int = 5) -> torch.Tensor:
    """Return roughly the nearest semi-orthogonal matrices, with singular values near 1; [N, rows, columns].

    A quintic Newton-Schulz iteration whose coefficients trade accuracy for speed.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices / matrices.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)
    for _ in range(iterations):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


class Muon(torch.optim.Optimizer):
    """Muon for weights of two or more dimensions; a convolution is a matrix with a row per output channel.

    Equal shapes are orthogonalised together. The root mean square of an update is that of a typical Adam update (0.2),
    so that one learning rate serves both.
    """

    def __init__(self, parameters, lr: float, momentum: float = 0.95, weight_decay: float = 0.0) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every weight that has a gradient."""
        for group in self.param_groups:
            alike: dict[tuple[int, int], list] = defaultdict(list)
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                update = p.grad.lerp(state["momentum"], group["momentum"]).flatten(1)
                flip = update.shape[0] > update.shape[1]
                alike[tuple(sorted(update.shape))].append((p, update.mT if flip else update, flip))
            for (_, columns), items in alike.items():
                updates = orthogonalise(torch.stack([update for _, update, _ in items]))
                for (p, _, flip), update in zip(items, updates, strict=True):
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.add_((update.mT if flip else update).reshape(p.shape), alpha=-0.2 * group["lr"] * columns**0.5)
