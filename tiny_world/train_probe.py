"""Train the probe on latents of rendered scenes; generated images are never used."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from comfy.taesd.taesd import TAESD
from torch import Tensor
from torch.nn import functional as F

from .checkpoints import load_state, save_state
from .individuals import GENERIC
from .probe import GRID, HEADS, Probe, answers, order, regions
from .renders import any_scene, render
from .scenes import Scene

BATCH = 64
TWICE = 4
"""One image in this many goes through the autoencoder twice, like an image that is decoded and read again."""
FRESH = 10_000_000
"""Seeds from here on are for measuring, not for training."""


@torch.no_grad()
def encoded(autoencoder: TAESD, images: Tensor) -> Tensor:
    """Images [B, H, W, 3] in 0..1 -> VAE latents [B, 16, H/8, W/8]."""
    return torch.cat([autoencoder.encode(chunk.movedim(-1, 1) * 2 - 1) for chunk in images.split(16)])


@torch.no_grad()
def decoded(autoencoder: TAESD, latents: Tensor) -> Tensor:
    """VAE latents -> images [B, H, W, 3] in 0..1."""
    images = torch.cat([autoencoder.decode(chunk) for chunk in latents.split(16)])
    return ((images + 1) / 2).clamp(0, 1).movedim(1, -1)


@dataclass(frozen=True)
class Pool:
    """Training data of the probe.

    Attributes:
        latents: [N, 16, GRID, GRID], float16.
        regions: what is where in them, [N, GRID, GRID].
        scenes: N.
    """

    latents: Tensor
    regions: Tensor
    scenes: list[Scene]


def probe_loss(probe: Probe, latents: Tensor, where: Tensor, scenes: list[Scene]) -> Tensor:
    """Return the sum of the cross entropies of heads and segmentation, without the colour of individuals."""
    logits, places, _ = probe(latents)
    truth = [answers(scene) for scene in scenes]
    loss = F.cross_entropy(places, where)
    for name, values in logits.items():
        target = torch.tensor([HEADS[name].index(row[name]) for row in truth])
        if name == "colour":
            target = torch.where(torch.tensor([scene.look == GENERIC for scene in scenes]), target, -100)
        loss = loss + F.cross_entropy(values, target)
    return loss


def accuracy(probe: Probe, latents: Tensor, scenes: list[Scene]) -> dict[str, float]:
    """Return the fraction of right answers of every head (colour over generic looks only) and of right cells."""
    read = probe.read(latents)
    right = {}
    for name in HEADS:
        pairs = [
            (answer, answers(scene)[name])
            for answer, scene in zip(read.words[name], scenes, strict=True)
            if name != "colour" or scene.look == GENERIC
        ]
        right[name] = sum(a == b for a, b in pairs) / len(pairs)
    right["regions"] = float((read.regions == torch.stack([regions(s) for s in scenes])).float().mean())
    return right


def measure(probe: Probe, autoencoder: TAESD, count: int) -> dict[str, dict[str, float]]:
    """Return accuracies on fresh renders, and on these decoded and encoded again."""
    rng = Random(FRESH)
    scenes = [order(any_scene(rng)) for _ in range(count)]
    latents = encoded(autoencoder, render(scenes))
    again = encoded(autoencoder, decoded(autoencoder, latents))
    return {"renders": accuracy(probe, latents, scenes), "twice": accuracy(probe, again, scenes)}


def latent_pool(autoencoder: TAESD, path: Path, count: int) -> Pool:
    """Encode `count` images and keep them at `path`; resumes where it stopped."""
    rng = Random("probe pool")
    scenes = [order(any_scene(rng)) for _ in range(count)]
    state = load_state(path) or {
        "latents": torch.zeros(0, 16, GRID, GRID, dtype=torch.float16), "regions": torch.zeros(0, GRID, GRID).long(),
    }  # fmt: skip
    latents, where = state["latents"], state["regions"]
    step = 20 * TWICE
    for start in range(len(latents), count, step):
        some = scenes[start : start + step]
        new = encoded(autoencoder, render(some))
        new[::TWICE] = encoded(autoencoder, decoded(autoencoder, new[::TWICE]))
        latents = torch.cat([latents, new.half()])
        where = torch.cat([where, torch.stack([regions(scene) for scene in some])])
        if start // step % 10 == 9 or len(latents) >= count:
            save_state(path, {"latents": latents, "regions": where})
            print(f"{len(latents)} pictures", flush=True)
    return Pool(latents[:count], where[:count], scenes)


def train_probe(probe: Probe, pool: Pool, state_path: Path, steps: int, rate: float = 2e-3) -> None:
    """Train in place up to `steps` steps, from the saved state if there is one."""
    optimiser = torch.optim.AdamW(probe.parameters(), lr=rate, weight_decay=1e-2)
    latents = pool.latents
    step = 0
    if state := load_state(state_path):
        probe.load_state_dict(state["weights"])
        optimiser.load_state_dict(state["optimiser"])
        step = state["step"]
    started, deviation = time.time(), float(latents[:500].float().std())
    probe.train()
    while step < steps:
        generator = torch.Generator().manual_seed(step)
        chosen = torch.randint(len(latents), (BATCH,), generator=generator)
        # Noise of many strengths: latents of a model are never quite those of the encoder.
        strength = 0.25 * deviation * torch.rand(BATCH, 1, 1, 1, generator=generator)
        noised = latents[chosen].float() + strength * torch.randn(BATCH, *latents.shape[1:], generator=generator)
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 100, (steps - step) / (0.4 * steps))
        loss = probe_loss(probe, noised, pool.regions[chosen], [pool.scenes[i] for i in chosen.tolist()])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        step += 1
        if step % 100 == 0 or step == steps:
            print(f"step {step} loss {loss.item():.4f} {time.time() - started:.0f} s", flush=True)
            save_state(state_path, {"weights": probe.state_dict(), "optimiser": optimiser.state_dict(), "step": step})
    probe.eval()
