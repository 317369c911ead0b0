"""Train the denoiser of a further kind on cached latents, text encoder and autoencoder fixed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor, nn

from ..purecc.host.models.differentiable import differentiable_operators
from ..purecc.network.checkpointing import KeptInputs
from .captions import training_caption
from .checkpoints import load_state, save_state
from .host_model import normalise_latents
from .kinds import Kind, encode, quick
from .latents import LatentPool
from .muon import Muon
from .scenes import SIZE
from .train_base import sample_times

BATCH = 32
WARMUP = 100
DECAY = 0.35
"""Fraction of the steps over which the rate falls linearly to zero, at the end."""
EMA = 0.998


def rate_factor(step: int, steps: int) -> float:
    """Return the factor of the learning rate: warmup, constant, linear decay to zero."""
    return min(1.0, (step + 1) / WARMUP, (steps - step) / (DECAY * steps))


@dataclass(frozen=True)
class Noised:
    """A batch as a network sees it.

    Attributes:
        x: the network's input, [B, 16, h, w].
        times: the time it gets, [B].
        target: what it should predict, [B, 16, h, w].
        weight: of the squared error, [B, 1, 1, 1]; with it every kind's loss is that of the velocity.
    """

    x: Tensor
    times: Tensor
    target: Tensor
    weight: Tensor


def noised(model: Any, x0: Tensor, noise: Tensor, generator: torch.Generator) -> Noised:
    """Return a batch with noise, as the host's class of sampling has it.

    A flow model gets x_t and t and predicts noise - x0. Another gets the noised latents at unit variance and an index
    of its schedule, and predicts the noise. Its error is weighted by 1 / (1 - t)²: without that the times with much
    noise, where an image is composed, hardly count, and a short training never learns them.
    """
    sampling = model.model_sampling
    t = sample_times(len(x0), generator)
    if not hasattr(sampling, "num_timesteps"):
        a = t.view(-1, 1, 1, 1)
        return Noised((1 - a) * x0 + a * noise, sampling.timestep(t), noise - x0, torch.ones_like(a))
    index = torch.searchsorted(sampling.sigmas, t / (1 - t)).clamp(max=len(sampling.sigmas) - 1)
    sigma = sampling.sigmas[index].view(-1, 1, 1, 1)
    return Noised(sampling.calculate_input(sigma, x0 + sigma * noise), index.float(), noise, (1 + sigma) ** 2)


def predict(model: Any, x: Tensor, times: Tensor, context: Tensor, pooled: Tensor) -> Tensor:
    """Return the network's own prediction for its own input, [B, 16, h, w], with an attention that has a backward."""
    y = model.encode_adm(pooled_output=pooled, width=SIZE, height=SIZE)
    options = {"optimized_attention_override": _attention}
    return model.diffusion_model(x, times, context=context, y=y, transformer_options=options)


def _attention(own: Callable, q: Tensor, k: Tensor, v: Tensor, heads: int, **named: Any) -> Tensor:
    if not named.get("skip_reshape"):
        q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    return nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def train_kind(kind: Kind, model: Any, clip: Any, pool: LatentPool, state_path: Path, steps: int, log=print) -> None:
    """Train a model of a kind in place up to `steps` steps, from the saved state if there is one.

    The state is written every 100 steps: weights, their average, optimisers and step. Computes in bfloat16 where
    the processor is quick in it; weights are float32.
    """
    network = model.diffusion_model.requires_grad_(True).to(memory_format=torch.channels_last)
    parameters = dict(network.named_parameters())
    chosen = {n for n, p in parameters.items() if p.ndim > 1 and re.fullmatch(kind.matrices, n)}
    others = [p for n, p in parameters.items() if n not in chosen]
    optimisers = [
        Muon([p for n, p in parameters.items() if n in chosen], kind.rate, weight_decay=0.01),
        torch.optim.AdamW(others, lr=kind.rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    average = {name: p.detach().clone() for name, p in parameters.items()}
    step, seconds = 0, 0.0
    if state := load_state(state_path):
        network.load_state_dict(state["weights"])
        for optimiser, saved in zip(optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        average, step, seconds = state["average"], state["step"], state["seconds"]
    tokens: dict[str, list[int]] = {}
    losses: list[float] = []
    kept, clock = KeptInputs([network]), time.time()
    with differentiable_operators():
        while step < steps:
            if step % 50 == 0 or not pool.scenes:
                pool.refresh()
            rng, generator = Random(f"{kind.name} {step}"), torch.Generator().manual_seed(step)
            latents, scenes = pool.batch(rng, BATCH)
            x0 = normalise_latents(latents)
            batch = noised(model, x0, torch.randn(x0.shape, generator=generator), generator)
            text = encode(clip, [training_caption(scene, rng) for scene in scenes], tokens)
            with quick():
                wrong = predict(model, batch.x, batch.times, *text).float() - batch.target
                loss = (batch.weight * wrong.square()).mean()
            network.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(others, 1.0)
            with quick():
                for optimiser in optimisers:
                    optimiser.param_groups[0]["lr"] = kind.rate * rate_factor(step, steps)
                    optimiser.step()
            step += 1
            with torch.no_grad():
                decay = min(EMA, step / (step + 10))
                torch._foreach_lerp_(list(average.values()), [p.detach() for p in parameters.values()], 1 - decay)
            losses.append(loss.item())
            if step % 25 == 0 or step == steps:
                seconds, clock = seconds + time.time() - clock, time.time()
                log(f"step {step} loss {sum(losses) / len(losses):.4f} {seconds:.0f} s, {len(pool.scenes)} images")
                losses = []
            if step % 100 == 0 or step == steps:
                saved = [optimiser.state_dict() for optimiser in optimisers]
                state = {"weights": network.state_dict(), "average": average, "optimisers": saved}
                save_state(state_path, {**state, "step": step, "seconds": seconds})
    kept.remove()


def averaged(state_path: Path) -> tuple[dict[str, Tensor], int]:
    """Return the averaged weights of a saved state, and its step."""
    state = load_state(state_path)
    if state is None:
        raise FileNotFoundError(f"{state_path} does not exist. Train first: scripts/train_tiny.py kind.")
    return {**state["weights"], **state["average"]}, state["step"]
