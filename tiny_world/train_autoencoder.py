"""Train the autoencoder: on random crops first, as it is convolutional, and on whole images last."""

from __future__ import annotations

import math
import time
from pathlib import Path
from random import Random

import torch
from comfy.taesd.taesd import TAESD
from torch.nn import functional as F

from .checkpoints import load_state, save_state
from .muon import Muon
from .renders import crops, render
from .scenes import SIZE, sample_scene

CROP, BATCH, WHOLE_BATCH = 32, 16, 4
WHOLE_FROM = 0.93
"""Fraction of the steps after which it trains on whole images."""


def psnr(images: torch.Tensor, reconstructed: torch.Tensor) -> float:
    """Return the mean peak signal-to-noise ratio over images in dB; tensors of one shape [B, ...] in 0..1."""
    error = (images - reconstructed).flatten(1).square().mean(1).clamp_min(1e-10)
    return float((-10 * error.log10()).mean())


@torch.no_grad()
def set_latent_scale(autoencoder: TAESD, shift: float, scale: float, count: int = 128) -> None:
    """Set vae_scale and vae_shift so that (latent - shift) * scale has mean 0 and deviation 1 over scenes."""
    rng = Random(7)
    images = render([sample_scene(rng) for _ in range(count)]).movedim(-1, 1) * 2 - 1
    autoencoder.vae_scale.fill_(1.0)
    autoencoder.vae_shift.fill_(0.0)
    raw = torch.cat([autoencoder.encode(chunk) for chunk in images.split(16)])
    factor = raw.std() * scale
    autoencoder.vae_scale.fill_(float(factor))
    autoencoder.vae_shift.fill_(float(shift - raw.mean() / factor))


def _rate_factor(step: int, steps: int, decoder_steps: int) -> float:
    """Return the factor of the learning rate: warmup and cosine decay, then a second cosine for the decoder alone."""
    if step >= steps:
        return 0.6 * 0.5 * (1 + math.cos(math.pi * (step - steps) / decoder_steps))
    return min(1.0, (step + 1) / 50) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)))


def train_autoencoder(
    autoencoder: TAESD, state_path: Path, steps: int, decoder_steps: int = 0, rate: float = 3e-3
) -> None:
    """Train in place, from the saved state if there is one: `steps` steps, then `decoder_steps` of the decoder alone.

    The loss is L1 + 2 MSE of the image decoded from a slightly noised latent; the noise makes latents smooth. The
    second part does not change latents, so that a base model can already train on them.
    """
    inner = [p for p in autoencoder.parameters() if p.ndim == 4 and min(p.shape[:2]) >= 16]
    outer = [p for p in autoencoder.parameters() if p.ndim != 4 or min(p.shape[:2]) < 16]
    optimisers = [Muon(inner, rate), torch.optim.AdamW(outer, lr=rate, betas=(0.9, 0.99), weight_decay=0.0)]
    step = 0
    if state := load_state(state_path):
        autoencoder.load_state_dict(state["weights"])
        for optimiser, saved in zip(optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        step = state["step"]
    encoder, decoder = autoencoder.taesd_encoder, autoencoder.taesd_decoder
    autoencoder.to(memory_format=torch.channels_last)
    started, errors = time.time(), []
    while step < steps + decoder_steps:
        for optimiser in optimisers:
            optimiser.param_groups[0]["lr"] = rate * _rate_factor(step, steps, decoder_steps)
        encoder.requires_grad_(step < steps)
        batch = crops(Random(step), *((BATCH, CROP) if step < WHOLE_FROM * steps else (WHOLE_BATCH, SIZE)))
        target = ((batch + 1) / 2).contiguous(memory_format=torch.channels_last)
        latent = encoder(target)
        noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(step))
        decoded = decoder(latent + 0.05 * latent.detach().std() * noise)
        # The decoder clamps latents softly at 3: the last term keeps them well inside.
        error = F.mse_loss(decoded, target)
        loss = F.l1_loss(decoded, target) + 2 * error + 1e-3 * latent.square().mean()
        autoencoder.zero_grad()
        loss.backward()
        for optimiser in optimisers:
            optimiser.step()
        step += 1
        errors.append(error.item())
        if step % 50 == 0 or step == steps:
            mean = sum(errors) / len(errors)
            print(f"step {step} psnr {-10 * math.log10(mean):.2f} dB, {time.time() - started:.0f} s", flush=True)
            errors = []
            saved = [optimiser.state_dict() for optimiser in optimisers]
            save_state(state_path, {"weights": autoencoder.state_dict(), "optimisers": saved, "step": step})
