"""Masks of the concept in the references, from the base model's own velocities; no other model is needed.

Three maps decide. The base predicts another velocity for the class prompt than for the empty one mainly where a thing
is (the idea of DiffEdit, arXiv 2210.11427). What is new in the thing, the base predicts wrongly even at little noise.
And whether a thing is of the class shows in which prompt predicts it best: the class prompt or that of another class
(the idea of the diffusion classifier, arXiv 2303.16203, place by place).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ..method.maps import blur, threshold, widen
from ..method.path import interpolate, target_velocity
from ..method.recipe import BASE
from ..text.texts import class_prompt
from .branched_model import BranchedModel

SAMPLES = 8
"""Noised copies of a reference."""
EARLIEST, LATEST = 0.15, 0.5
"""Range of their times: things can still be told apart, and the prompt still matters."""
WIDE_BLUR = 0.12
"""Deviation of the evidence's blur, in sides of the image: it separates things and not their parts."""
CERTAINTY = 0.08
"""Width of the edge between evidence for and against, as a share of the largest evidence."""
STRONG, AROUND = 0.35, 0.25
"""Evidence against the class, as the same share, that shows another thing; how far that thing reaches, in sides."""
OTHERS = ("house", "tree", "car", "cup", "boat")
"""Other classes: plain things that any model knows."""


def mask_prompts(class_word: str) -> tuple[str, tuple[str, ...]]:
    """Return the class prompt, and those of four other classes."""
    return class_prompt(class_word), tuple(class_prompt(word) for word in OTHERS if word != class_word.lower())[:4]


@torch.no_grad()
def concept_mask(
    branched: BranchedModel,
    latents: Tensor,
    base_text: str,
    prompt: str,
    others: Sequence[str] = (),
    seed: int = 0,
    limit: int | None = SAMPLES,
) -> Tensor:
    """Return the mask M of a concept in a reference.

    It covers what the class prompt changes or the base predicts wrongly, without things of other classes.

    Args:
        branched: the model; its base gives the velocities.
        latents: [V, C, H, W], in the model's space.
        base_text: of the reference; the conditioner must know it, the prompts and the empty text.
        prompt: the class word in a sentence.
        others: prompts of other classes; without them nothing is taken out for being of another.
        seed: of the noise.
        limit: the most samples in one pass.

    Returns:
        [V, 1, H, W] in [0, 1]; NaN where the base's velocities are not finite.
    """
    texts = dict.fromkeys((prompt, "", base_text, *others))
    found = []
    for x_t, t, v in noised(latents, seed, branched.field.device):
        of = {text: branched.run(BASE, x_t, t, [text] * SAMPLES, limit) for text in texts}
        of_others = [of[other] for other in others]
        maps = difference(of[prompt], of[""]), novelty(v, of[base_text]), evidence(v, of[prompt], of_others)
        found.append([m.cpu() for m in maps])
    changed, new, of_the_class = (torch.cat(m) for m in zip(*found, strict=True))
    mask = torch.maximum(threshold(blur(changed)), threshold(blur(new)))
    mask = mask * gate(blur(of_the_class, WIDE_BLUR), mask)
    # Else a model that is not finite would give masks that look like masks.
    return torch.where((changed + new + of_the_class).isfinite(), mask, torch.nan)


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


def evidence(v: Tensor, named: Tensor, others: Sequence[Tensor]) -> Tensor:
    """Return how much better the prompt predicts the velocity than those of other classes, by place.

    ‖v − v_base(x_t | other)‖² − ‖v − v_base(x_t | prompt)‖², the mean over the others, samples and channels. Above 0
    where the class is, about 0 where no thing is, and about 0 or below where another thing is.

    Args:
        v: the true velocities, [N, C, H, W].
        named: the base's for the class prompt.
        others: the base's for each other class; without any there is no evidence, 0 everywhere.

    Returns:
        [1, 1, H, W].
    """

    def error(predicted: Tensor) -> Tensor:
        return (predicted - v).float().square().mean((0, 1), keepdim=True)

    return torch.stack([error(other) for other in others or [named]]).mean(0) - error(named)


def noised(latents: Tensor, seed: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield for each of [V, C, H, W] x_t at `SAMPLES` times and noises, these times, and the true velocities."""
    generator = torch.Generator().manual_seed(seed)
    for x0 in latents.float().split(1):
        noise = torch.randn(SAMPLES, *x0.shape[1:], generator=generator)
        t = torch.linspace(EARLIEST, LATEST, SAMPLES)
        x0, noise, t = (a.to(device) for a in (x0.expand(SAMPLES, -1, -1, -1), noise, t))
        yield interpolate(x0, noise, t), t, target_velocity(x0, noise)


def gate(found: Tensor, mask: Tensor) -> Tensor:
    """Return a factor that takes things of other classes out of a mask, 1 where a place stays.

    Strong evidence against the class marks another thing; around it every place with any evidence against the class
    goes too. Weak evidence alone takes out nothing: what is new in a thing is no evidence for its class either. Without
    any evidence the whole mask stays.

    Args:
        found: the evidence, [V, 1, H, W].
        mask: the mask so far, the same shape.
    """
    top = (found * mask).amax((1, 2, 3), keepdim=True)
    against = -found / top.clamp_min(1e-12)
    other = widen(torch.sigmoid((against - STRONG) / CERTAINTY), AROUND) * torch.sigmoid(against / CERTAINTY)
    return torch.where(top > 0, 1 - other, torch.ones_like(other))
