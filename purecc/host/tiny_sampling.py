"""Pictures from the embedded base model by the host's stock sampling, many prompts in one batch."""

from __future__ import annotations

import comfy.sample
import torch

STEPS, CFG, SAMPLER, SCHEDULER = 28, 4.0, "euler", "simple"


def _conditioning(clip, prompts: list[str]) -> list:
    encoded = [clip.encode_from_tokens(clip.tokenize(prompt), return_pooled=True) for prompt in prompts]
    context, pooled = zip(*encoded, strict=True)
    return [[torch.cat(context), {"pooled_output": torch.cat(pooled)}]]


def generate(
    model,
    clip,
    prompts: list[str],
    seeds: list[int],
    steps: int = STEPS,
    cfg: float = CFG,
    size: int = 96,
    batch: int = 50,
) -> torch.Tensor:
    """One picture per prompt and seed, the noise of each as KSampler draws it for that seed alone.

    Returns:
        VAE latents [N, 16, size / 8, size / 8].
    """
    drawn = []
    for start in range(0, len(prompts), batch):
        chosen = slice(start, start + batch)
        empty = torch.zeros(1, 16, size // 8, size // 8)
        noise = torch.cat([comfy.sample.prepare_noise(empty, seed) for seed in seeds[chosen]])
        with torch.inference_mode():
            latents = comfy.sample.sample(
                model, noise, steps, cfg, SAMPLER, SCHEDULER, _conditioning(clip, prompts[chosen]),
                _conditioning(clip, [""] * len(noise)), torch.zeros_like(noise), disable_pbar=True,
            )  # fmt: skip
        drawn.append(latents.float())
    return torch.cat(drawn)
