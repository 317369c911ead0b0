"""Sample from the embedded base model with the host's stock sampling, many prompts in one batch."""

from __future__ import annotations

import comfy.sample
import torch

SIZE, BATCH = 96, 50
"""Side of an image in pixels, and images in one pass."""


def _conditioning(clip, prompts: list[str]) -> list:
    encoded = [clip.encode_from_tokens(clip.tokenize(prompt), return_pooled=True) for prompt in prompts]
    context, pooled = zip(*encoded, strict=True)
    return [[torch.cat(context), {"pooled_output": torch.cat(pooled)}]]


def generate(model, clip, prompts: list[str], seeds: list[int], steps: int = 28, cfg: float = 4.0) -> torch.Tensor:
    """Generate one image per prompt and seed, each from the noise of KSampler for that seed alone.

    Returns:
        VAE latents [N, 16, SIZE / 8, SIZE / 8].
    """
    out = []
    for start in range(0, len(prompts), BATCH):
        chosen = slice(start, start + BATCH)
        empty = torch.zeros(1, 16, SIZE // 8, SIZE // 8)
        noise = torch.cat([comfy.sample.prepare_noise(empty, seed) for seed in seeds[chosen]])
        with torch.inference_mode():
            latents = comfy.sample.sample(
                model, noise, steps, cfg, "euler", "simple", _conditioning(clip, prompts[chosen]),
                _conditioning(clip, [""] * len(noise)), torch.zeros_like(noise), disable_pbar=True,
            )  # fmt: skip
        out.append(latents.float())
    return torch.cat(out)
