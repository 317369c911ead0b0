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
from .maps import blur, threshold, widen
from .recipes import BASE
from .texts import class_prompt
from .trainee import Trainee

DRAWS = 16
EARLIEST, LATEST = 0.15, 0.5
"""Times between which the draws lie: what is where can still be seen, and the prompt still matters."""
WIDE_BLUR = 0.12
"""Deviation of the evidence's blur, in sides of the picture: it is to tell things apart and not their parts."""
CERTAINTY = 0.08
"""Evidence that tells for from against, in parts of the most that there is."""
STRONG, AROUND = 0.35, 0.25
"""Evidence against the class, in the same parts, that shows another thing; how far that thing reaches, in sides."""
OTHERS = ("house", "tree", "car", "cup", "boat")
"""Other classes: plain things that any model knows."""


def mask_prompts(class_word: str) -> tuple[str, tuple[str, ...]]:
    """The class prompt, and those of four other classes."""
    return class_prompt(class_word), tuple(class_prompt(word) for word in OTHERS if word != class_word.lower())[:4]


@torch.no_grad()
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
    texts = dict.fromkeys((prompt, "", base_text, *others))
    found = []
    for x_t, t, v in _draws(latents, seed, trainee.model.device):
        said = {text: trainee.run(BASE, x_t, t, [text] * DRAWS, limit) for text in texts}
        of_others = [said[other] for other in others]
        maps = difference(said[prompt], said[""]), novelty(v, said[base_text]), evidence(v, said[prompt], of_others)
        found.append([m.cpu() for m in maps])
    changed, new, of_the_class = (torch.cat(m) for m in zip(*found, strict=True))
    mask = torch.maximum(threshold(blur(changed)), threshold(blur(new)))
    return mask * gate(blur(of_the_class, WIDE_BLUR), mask)


def difference(named: Tensor, empty: Tensor) -> Tensor:
    """How much the prompt changes the base's velocity, by place: RMS over draws and channels.

    Args:
        named: the base's for the class prompt at N draws, [N, C, H, W].
        empty: the same for the empty prompt.

    Returns:
        [1, 1, H, W].
    """
    return (named - empty).float().square().mean((0, 1), keepdim=True).sqrt()


def novelty(v: Tensor, base: Tensor) -> Tensor:
    """What the base predicts wrongly of the reference, by place: RMS over channels of the mean error over draws.

    Args:
        v: the true velocities at N draws, [N, C, H, W].
        base: the base's for the base text.

    Returns:
        [1, 1, H, W].
    """
    error = (v - base).float().mean(0, keepdim=True)
    return error.square().mean(1, keepdim=True).sqrt()


def evidence(v: Tensor, named: Tensor, others: Sequence[Tensor]) -> Tensor:
    """How much better the prompt predicts the velocity than those of other classes, by place.

    ‖v − v_base(x_t | other)‖² − ‖v − v_base(x_t | prompt)‖², the mean over the others, draws and channels. Above 0
    where the class is, about 0 where no thing is, and about 0 or below where another thing is.

    Args:
        v: the true velocities at N draws, [N, C, H, W].
        named: the base's for the class prompt.
        others: the base's for each other class; without any there is no evidence, 0 everywhere.

    Returns:
        [1, 1, H, W].
    """

    def error(predicted: Tensor) -> Tensor:
        return (predicted - v).float().square().mean((0, 1), keepdim=True)

    return torch.stack([error(other) for other in others or [named]]).mean(0) - error(named)


def _draws(latents: Tensor, seed: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """For each of [V, C, H, W]: x_t at `DRAWS` times and noises, these times, and the true velocities."""
    generator = torch.Generator().manual_seed(seed)
    for x0 in latents.float().split(1):
        noise = torch.randn(DRAWS, *x0.shape[1:], generator=generator)
        t = torch.linspace(EARLIEST, LATEST, DRAWS)
        x0, noise, t = (a.to(device) for a in (x0.expand(DRAWS, -1, -1, -1), noise, t))
        yield objective.interpolate(x0, noise, t), t, objective.target_velocity(x0, noise)


def gate(found: Tensor, mask: Tensor) -> Tensor:
    """Takes out of a mask what belongs to another thing, both [V, 1, H, W]; 1 where a place stays.

    Another thing is where the evidence against the class is strong; with it goes all around it that has any evidence
    against. Weak evidence by itself takes out nothing: what is new in a thing is not evidence for its class either.
    Where there is no evidence anywhere, all of it stays.
    """
    top = (found * mask).amax((1, 2, 3), keepdim=True)
    against = -found / top.clamp_min(1e-12)
    other = widen(torch.sigmoid((against - STRONG) / CERTAINTY), AROUND) * torch.sigmoid(against / CERTAINTY)
    return torch.where(top > 0, 1 - other, torch.ones_like(other))
