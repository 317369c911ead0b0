"""Masks of the concept in the references, from the base model's own velocities; no other model is needed.

Two maps decide. The base predicts another velocity for the class prompt than for the empty one mainly where a thing is
(the idea of DiffEdit, arXiv 2210.11427). What is new in the thing, the base predicts wrongly even at little noise. Both
find other things too; those that stand beside the concept in all references are taken out by `companions`.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ..method.maps import blur, threshold
from ..method.path import interpolate, target_velocity
from ..method.recipe import BASE
from .branched_model import BranchedModel

SAMPLES = 8
"""Noised copies of a reference."""
EARLIEST, LATEST = 0.15, 0.5
"""Range of their times: things can still be told apart, and the prompt still matters."""


@torch.no_grad()
def concept_mask(
    branched: BranchedModel,
    latents: Tensor,
    base_text: str,
    prompt: str,
    seed: int = 0,
    limit: int | None = SAMPLES,
) -> Tensor:
    """Return the mask M of a concept in a reference.

    It covers what the class prompt changes or the base predicts wrongly.

    Args:
        branched: the model; its base gives the velocities.
        latents: [V, C, H, W], in the model's space.
        base_text: of the reference; the conditioner must know it, the prompts and the empty text.
        prompt: the class word in a sentence.
        seed: of the noise.
        limit: the most samples in one pass.

    Returns:
        [V, 1, H, W] in [0, 1]; NaN where the base's velocities are not finite.
    """
    texts = dict.fromkeys((prompt, "", base_text))
    found = []
    for x_t, t, v in noised(latents, seed, branched.field.device):
        of = {text: branched.run(BASE, x_t, t, [text] * SAMPLES, limit) for text in texts}
        maps = difference(of[prompt], of[""]), novelty(v, of[base_text])
        found.append([m.cpu() for m in maps])
    changed, new = (torch.cat(m) for m in zip(*found, strict=True))
    mask = torch.maximum(threshold(blur(changed)), threshold(blur(new)))
    # Else a model that is not finite would give masks that look like masks.
    return torch.where((changed + new).isfinite(), mask, torch.nan)


def difference(named: Tensor, empty: Tensor) -> Tensor:
    """Return how much the prompt changes the base's velocity, by place: RMS over samples and channels.

    Args:
        named: the base's velocities for the class prompt, [N, C, H, W].
        empty: the same for the empty prompt.

    Returns:
        [1, 1, H, W].
    """
    return (named - empty).float().square().mean((0, 1), keepdim=True).sqrt()


def novelty(v: Tensor, base: Tensor) -> Tensor:
    """Return how wrongly the base predicts the reference, by place: RMS over channels of the mean error over samples.

    Args:
        v: the true velocities, [N, C, H, W].
        base: the base's for the base text.

    Returns:
        [1, 1, H, W].
    """
    error = (v - base).float().mean(0, keepdim=True)
    return error.square().mean(1, keepdim=True).sqrt()


def noised(latents: Tensor, seed: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield for each of [V, C, H, W] x_t at `SAMPLES` times and noises, these times, and the true velocities."""
    generator = torch.Generator().manual_seed(seed)
    for x0 in latents.float().split(1):
        noise = torch.randn(SAMPLES, *x0.shape[1:], generator=generator)
        t = torch.linspace(EARLIEST, LATEST, SAMPLES)
        x0, noise, t = (a.to(device) for a in (x0.expand(SAMPLES, -1, -1, -1), noise, t))
        yield interpolate(x0, noise, t), t, target_velocity(x0, noise)
