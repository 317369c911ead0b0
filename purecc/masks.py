"""Where the concept is in a reference, read off the base model itself; no other model is needed.

Three maps tell. The base predicts another velocity for the class prompt than for the empty one mainly where a thing is
(the idea of DiffEdit, arXiv 2210.11427). What is new in the thing, the base predicts wrongly even at little noise. And
which thing is of the class shows in which prompt predicts it best: the class prompt or that of another class (the idea
of the diffusion classifier, arXiv 2303.16203, place by place).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from . import objective
from .maps import blur, threshold
from .recipes import BASE
from .texts import class_prompt
from .training import Trainee

DRAWS = 16
EARLIEST, LATEST = 0.15, 0.5
"""Times between which the draws lie: what is where can still be seen, and the prompt still matters."""
WIDE_BLUR = 0.12
"""Deviation of the evidence's blur, in sides of the picture: it is to tell things apart and not their parts."""
CERTAINTY = 0.08
"""Evidence that settles whether a place stays in the mask, in parts of the most that there is."""
OTHERS = ("house", "tree", "car", "cup", "boat")
"""Other classes: plain things that any model knows."""


def mask_prompts(class_word: str) -> tuple[str, tuple[str, ...]]:
    """The class prompt, and those of four other classes."""
    return class_prompt(class_word), tuple(class_prompt(word) for word in OTHERS if word != class_word.lower())[:4]


def concept_mask(
    trainee: Trainee,
    latents: Tensor,
    base_text: str,
    prompt: str,
    others: Sequence[str] = (),
    seed: int = 0,
    limit: int | None = 16,
) -> Tensor:
    """The mask M of a concept in a reference: what the class prompt changes, or the base cannot foretell, of the class.

    Args:
        trainee: its base is asked.
        latents: [V, C, H, W], in the model's space.
        base_text: of the reference; the conditioner must know it, the prompts and the empty text.
        prompt: the class word in a sentence.
        others: prompts of other classes; without them no place is left out for being of another.
        seed: of the draws.
        limit: the most samples in one pass.

    Returns:
        [V, 1, H, W] in [0, 1].
    """
    mask = threshold(difference(trainee, latents, prompt, seed, limit))
    mask = torch.maximum(mask, threshold(novelty(trainee, latents, base_text, seed, limit)))
    if not others:
        return mask
    return mask * gate(evidence(trainee, latents, prompt, others, seed, limit), mask)


@torch.no_grad()
def difference(trainee: Trainee, latents: Tensor, prompt: str, seed: int = 0, limit: int | None = 16) -> Tensor:
    """How much the prompt changes the base's velocity, by place: RMS over draws of (t, noise) and over channels.

    Returns:
        [V, 1, H, W], blurred; for the arguments see `concept_mask`.
    """
    out = []
    for x_t, t, _ in _draws(latents, seed, trainee.model.device):
        named, empty = (trainee.run(BASE, x_t, t, [text] * DRAWS, limit) for text in (prompt, ""))
        out.append((named - empty).float().square().mean((0, 1), keepdim=True).sqrt().cpu())
    return blur(torch.cat(out))


@torch.no_grad()
def novelty(trainee: Trainee, latents: Tensor, base_text: str, seed: int = 0, limit: int | None = 16) -> Tensor:
    """What the base predicts wrongly of the reference, by place: RMS over channels of the mean error over draws.

    Returns:
        [V, 1, H, W], blurred; for the arguments see `concept_mask`.
    """
    out = []
    for x_t, t, v in _draws(latents, seed, trainee.model.device):
        error = (v - trainee.run(BASE, x_t, t, [base_text] * DRAWS, limit)).float().mean(0, keepdim=True)
        out.append(error.square().mean(1, keepdim=True).sqrt().cpu())
    return blur(torch.cat(out))


@torch.no_grad()
def evidence(
    trainee: Trainee, latents: Tensor, prompt: str, others: Sequence[str], seed: int = 0, limit: int | None = 16
) -> Tensor:
    """How much better the prompt predicts the velocity than those of other classes, by place.

    ‖v − v_base(x_t | other)‖² − ‖v − v_base(x_t | prompt)‖², the mean over the others, draws and channels. Above 0
    where the class is, about 0 where no thing is, and about 0 or below where another thing is.

    Returns:
        [V, 1, H, W], widely blurred; for the arguments see `concept_mask`.
    """
    out = []
    for x_t, t, v in _draws(latents, seed, trainee.model.device):

        def error(text: str, x_t=x_t, t=t, v=v) -> Tensor:
            return (trainee.run(BASE, x_t, t, [text] * DRAWS, limit) - v).float().square().mean((0, 1), keepdim=True)

        worse = torch.stack([error(other) for other in others]).mean(0)
        out.append((worse - error(prompt)).cpu())
    return blur(torch.cat(out), WIDE_BLUR)


def _draws(latents: Tensor, seed: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """For each of [V, C, H, W]: x_t at `DRAWS` times and noises, these times, and the true velocities."""
    generator = torch.Generator().manual_seed(seed)
    for x0 in latents.float().split(1):
        noise = torch.randn(DRAWS, *x0.shape[1:], generator=generator)
        t = torch.linspace(EARLIEST, LATEST, DRAWS)
        x0, noise, t = (a.to(device) for a in (x0.expand(DRAWS, -1, -1, -1), noise, t))
        yield objective.interpolate(x0, noise, t), t, objective.target_velocity(x0, noise)


def gate(found: Tensor, mask: Tensor) -> Tensor:
    """Keeps of a mask what there is evidence for, both [V, 1, H, W]: half of it where there is as much for as against.

    Where there is no evidence anywhere, all of it.
    """
    top = (found * mask).amax((1, 2, 3), keepdim=True)
    kept = torch.sigmoid(found / top.clamp_min(1e-12) / CERTAINTY)
    return torch.where(top > 0, kept, torch.ones_like(kept))
