"""Train the base model: flow matching on cached latents, text encoder and MMDiT together."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

import torch
from torch import nn

from .captions import training_caption
from .checkpoints import load_state, save_state
from .latents import LatentPool
from .muon import Muon

BATCH = 64
SHIFT = 2.0
WARMUP = 200
DECAY = 0.25
"""Fraction of the steps over which the rate falls linearly to zero, at the end."""
EMA = 0.999


def sample_times(batch: int, generator: torch.Generator) -> torch.Tensor:
    """Sample t in (0, 1): logit-normal(0, 1), shifted towards noise by `SHIFT`; [batch]."""
    t = torch.sigmoid(torch.randn(batch, generator=generator))
    return SHIFT * t / (1 + (SHIFT - 1) * t)


def rate_factor(step: int, steps: int) -> float:
    """Return the factor of the learning rate: warmup, constant, linear decay to zero."""
    return min(1.0, (step + 1) / WARMUP, (steps - step) / (DECAY * steps))


def train_base(
    model: nn.Module,
    pool: LatentPool,
    normalise,
    state_path: Path,
    steps: int,
    rate: float = 1.5e-3,
    save_every: int = 250,
) -> None:
    """Train in place up to `steps` steps, from the saved state if there is one.

    `model` maps noised latents [B, 16, h, w], times [B] and captions to velocities. `normalise` turns VAE latents into
    those of the model (the host's latent format). The file at `state_path` holds weights,
    their average, optimisers and step, and is written every `save_every` steps.
    """
    parameters = dict(model.named_parameters())
    matrices = [p for name, p in parameters.items() if "joint_blocks" in name and "adaLN" not in name and p.ndim == 2]
    chosen = {id(p) for p in matrices}
    others = [p for p in parameters.values() if id(p) not in chosen and p.requires_grad]
    optimisers = [
        Muon(matrices, rate, weight_decay=0.01),
        torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    average = {name: p.detach().clone() for name, p in parameters.items()}
    step, seconds = 0, 0.0
    if state := load_state(state_path):
        model.load_state_dict(state["weights"])
        for optimiser, saved in zip(optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        average, step, seconds = state["average"], state["step"], state["seconds"]
    pool.refresh()
    losses: list[float] = []
    clock = time.time()
    while step < steps:
        if step % 100 == 0:
            pool.refresh()
        rng = Random(f"base {step}")
        generator = torch.Generator().manual_seed(step)
        latents, scenes = pool.batch(rng, BATCH)
        x0 = normalise(latents)
        x1 = torch.randn(x0.shape, generator=generator)
        t = sample_times(BATCH, generator)
        xt = (1 - t.view(-1, 1, 1, 1)) * x0 + t.view(-1, 1, 1, 1) * x1
        velocity = model(xt, t, [training_caption(scene, rng) for scene in scenes])
        loss = (velocity - (x1 - x0)).square().mean()
        model.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(others, 1.0)
        for optimiser in optimisers:
            optimiser.param_groups[0]["lr"] = rate * rate_factor(step, steps)
            optimiser.step()
        step += 1
        with torch.no_grad():
            decay = min(EMA, step / (step + 10))
            torch._foreach_lerp_(list(average.values()), [p.detach() for p in parameters.values()], 1 - decay)
        losses.append(loss.item())
        if step % 50 == 0:
            seconds, clock = seconds + time.time() - clock, time.time()
            print(
                f"step {step} loss {sum(losses) / len(losses):.4f} {seconds:.0f} s, {len(pool.scenes)} pictures",
                flush=True,
            )
            losses = []
        if step % save_every == 0 or step == steps:
            save_state(
                state_path,
                {
                    "weights": model.state_dict(), "average": average,
                    "optimisers": [optimiser.state_dict() for optimiser in optimisers],
                    "step": step, "seconds": seconds,
                },
            )  # fmt: skip
