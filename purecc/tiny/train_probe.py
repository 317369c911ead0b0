"""Training of the probe on renders, half of them through the autoencoder. Generated pictures are never used."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

import torch
from torch import nn
from torch.nn import functional as F

from .checkpoints import load_state, save_state
from .probe import HEADS, Probe, answers
from .renders import any_scene, render
from .scenes import GENERIC, SIZE, Scene

BATCH = 48
SPECIAL = 0.4
"""Fraction of pictures with a robot that is not generic."""
FRESH = 10_000_000
"""Seeds from here on are for measuring, not for training."""


@torch.no_grad()
def through(autoencoder: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Images [B, H, W, 3] in 0..1, encoded and decoded."""
    decoded = [autoencoder.decode(autoencoder.encode(chunk.movedim(-1, 1) * 2 - 1)) for chunk in images.split(16)]
    return ((torch.cat(decoded) + 1) / 2).clamp(0, 1).movedim(1, -1)


def probe_loss(probe: Probe, images: torch.Tensor, scenes: list[Scene]) -> torch.Tensor:
    """Sum of the heads' cross entropies; the colour of a robot that is not generic is left out."""
    loss = torch.zeros(())
    truth = [answers(scene) for scene in scenes]
    for name, logits in probe(images).items():
        target = torch.tensor([HEADS[name].index(row[name]) for row in truth])
        if name == "colour":
            target = torch.where(torch.tensor([scene.look == GENERIC for scene in scenes]), target, -100)
        loss = loss + F.cross_entropy(logits, target)
    return loss


def accuracy(probe: Probe, images: torch.Tensor, scenes: list[Scene]) -> dict[str, float]:
    """The fraction of right answers of every head; colour over generic looks only."""
    read, right = probe.read(images), {}
    for name in HEADS:
        pairs = [
            (answer, answers(scene)[name])
            for answer, scene in zip(read[name], scenes, strict=True)
            if name != "colour" or scene.look == GENERIC
        ]
        right[name] = sum(a == b for a, b in pairs) / len(pairs)
    return right


def measure(probe: Probe, autoencoder: nn.Module, count: int) -> dict[str, dict[str, float]]:
    """Accuracies on fresh renders, before and after the autoencoder."""
    rng = Random(FRESH)
    scenes = [any_scene(rng, SPECIAL) for _ in range(count)]
    images = render(scenes)
    return {
        "renders": accuracy(probe, images, scenes),
        "decoded": accuracy(probe, through(autoencoder, images), scenes),
    }


def decoded_pool(autoencoder: nn.Module, path: Path, count: int) -> tuple[torch.Tensor, list[Scene]]:
    """`count` pictures through the autoencoder, [count, H, W, 3] uint8, and their scenes; kept at `path`."""
    rng = Random("decoded")
    scenes = [any_scene(rng, SPECIAL) for _ in range(count)]
    images = load_state(path)
    if images is None:
        images = torch.zeros(0, SIZE, SIZE, 3, dtype=torch.uint8)
    if len(images) < count:
        chunks = [render(scenes[i : min(i + 16, count)]) for i in range(len(images), count, 16)]
        images = torch.cat([images, *((through(autoencoder, chunk) * 255).round().byte() for chunk in chunks)])
        save_state(path, images)
    return images[:count], scenes


def train_probe(
    probe: Probe, pool: tuple[torch.Tensor, list[Scene]], state_path: Path, steps: int, rate: float = 2e-3
) -> None:
    """Train in place up to `steps` steps, from the saved state if there is one: half fresh renders, half of `pool`."""
    optimiser = torch.optim.AdamW(probe.parameters(), lr=rate, weight_decay=1e-2)
    decoded, decoded_scenes = pool
    step = 0
    if state := load_state(state_path):
        probe.load_state_dict(state["weights"])
        optimiser.load_state_dict(state["optimiser"])
        step = state["step"]
    started = time.time()
    probe.train()
    while step < steps:
        rng = Random(f"probe {step}")
        generator = torch.Generator().manual_seed(step)
        fresh = [any_scene(rng, SPECIAL) for _ in range(BATCH // 2)]
        chosen = [rng.randrange(len(decoded_scenes)) for _ in range(BATCH - len(fresh))]
        scenes = fresh + [decoded_scenes[i] for i in chosen]
        images = torch.cat([render(fresh), decoded[chosen].float() / 255])
        # Noise and a shift by some pixels: the answer must not hang on single pixels.
        images = images.roll((rng.randint(-2, 2), rng.randint(-2, 2)), (1, 2))
        images = (images + 0.02 * torch.randn(images.shape, generator=generator)).clamp(0, 1)
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 100, (steps - step) / (0.4 * steps))
        loss = probe_loss(probe, images, scenes)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        step += 1
        if step % 100 == 0 or step == steps:
            print(f"step {step} loss {loss.item():.4f} {time.time() - started:.0f} s", flush=True)
            save_state(state_path, {"weights": probe.state_dict(), "optimiser": optimiser.state_dict(), "step": step})
    probe.eval()
