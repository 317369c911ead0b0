"""Find a thing that stands beside the concept in all references, and take it out of their masks.

What all references share is learned with the concept, and a mask takes in every thing that the base did not expect. So
common things are tried one by one: where a thing stands, its prompt predicts the reference better than the class prompt
does, and better than the empty one (the diffusion classifier, arXiv 2303.16203, place by place). Once the companion is
known, the evidence for the class is weighed against it alone, which parts the two. Without a companion no evidence is
weighed: what is new in the concept is evidence against its class, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median_low

import torch
from torch import Tensor

from ..method.maps import blur, widen
from ..method.recipe import BASE
from ..text.texts import class_prompt
from .branched_model import BranchedModel
from .concept_masks import noised

LEAVE_OUT, KEEP = "leave out", "keep"
CHOICES = (LEAVE_OUT, KEEP)
"""What is done about a companion: it is taken out of the masks, or learned with the concept."""
WORDS = (
    *("person", "dog", "cat", "house", "tree", "car", "boat", "cup", "bottle", "chair", "table", "flower"),
    *("ball", "fish", "star", "heart"),
)
"""Common things that are no part of another, as a hand is of a person. What a model does not know explains nothing."""
COPIES = slice(1, None, 2)
"""Which of a reference's noised copies the words are tried on: every second."""
LEAST, CLEAR = 0.6, 1.5
"""Score of a companion, and the least factor by which it must be above that of the next word."""
LIKE_THE_CLASS = 0.5
"""Share of the class's own evidence from which a word means the concept itself."""
LEFT = 1 / 3
"""Share of a mask that the concept has at least, beside a companion."""
WIDE_BLUR = 0.12
"""Deviation of the evidence's blur, in sides of the image: it separates things and not their parts."""
CERTAINTY = 0.08
"""Width of the edge between evidence for and against, as a share of the largest evidence."""
STRONG, AROUND = 0.35, 0.25
"""Evidence against the class, as the same share, that shows another thing; how far that thing reaches, in sides."""


def companion_prompts(class_word: str) -> dict[str, str]:
    """Return the prompts of common things by word, without those that the class word names."""
    own = class_word.lower().split()
    return {word: class_prompt(word) for word in WORDS if word not in own}


@torch.no_grad()
def errors(
    branched: BranchedModel,
    latents: Tensor,
    prompts: Sequence[str],
    seed: int = 0,
    limit: int | None = None,
) -> Tensor:
    """Return how wrongly the base predicts a reference with each prompt, by place, widely blurred.

    Args:
        branched: the model; its base gives the velocities.
        latents: [V, C, H, W], in the model's space.
        prompts: K prompts that the conditioner knows.
        seed: of the noise; that of the masks.
        limit: the most samples in one pass.

    Returns:
        Squared errors, the mean over `COPIES` and channels, [V, K, H, W].
    """
    out = []
    for x_t, t, v in noised(latents, seed, branched.field.device):
        x_t, t, v = (a[COPIES] for a in (x_t, t, v))
        each = [branched.run(BASE, x_t, t, [prompt] * len(t), limit) for prompt in prompts]
        out.append(torch.stack([(predicted - v).float().square().mean((0, 1)) for predicted in each]).cpu())
    found = torch.stack(out)
    return blur(found.flatten(0, 1)[:, None], WIDE_BLUR).view_as(found)


def beside(of_class: Tensor, of_empty: Tensor, of_words: Tensor) -> tuple[list[float], float]:
    """Return what each of K words explains of one reference that nothing else does, and what the class explains.

    max min(e_class − e_word, e_empty − e_word) of each word, and max (e_empty − e_class), over places. A word that
    explains the concept's own place, such as the class in other words, has 0.

    Args:
        of_class: error of the class prompt, [H, W], as `errors` gives it.
        of_empty: error of the empty prompt, [H, W].
        of_words: errors of the words' prompts, [K, H, W].
    """
    own = (of_empty - of_class).flatten()
    best = own.max().clamp_min(0)
    alone = torch.minimum(of_class - of_words, of_empty - of_words).flatten(1).amax(1).clamp_min(0)
    there = (of_empty - of_words).flatten(1)[:, own.argmax()]
    return torch.where(there < LIKE_THE_CLASS * best, alone, 0.0).tolist(), float(best)


def companion(by_word: Mapping[str, Sequence[float]], of_class: Sequence[float]) -> str:
    """Return the word of a thing that is beside the concept in most references; empty where there is none.

    The score of a word is the median of what it explains, in parts of the mean of what the class explains.

    Args:
        by_word: what each word explains of every reference, as `beside` gives it.
        of_class: what the class explains of every reference.
    """
    scale = sum(of_class) / max(1, len(of_class))
    if scale <= 0:
        return ""
    (score, word), (second, _) = sorted(((median_low(own) / scale, w) for w, own in by_word.items()), reverse=True)[:2]
    return word if score >= LEAST and score >= CLEAR * second else ""


def plausible(before: Sequence[Tensor], after: Sequence[Tensor]) -> bool:
    """Return whether at least `LEFT` of the mask stays in most references: else the word took the concept with it."""
    shares = [float(a.sum() / b.sum().clamp_min(1e-12)) for b, a in zip(before, after, strict=True)]
    return median_low(shares) >= LEFT


def without(mask: Tensor, of_class: Tensor, of_companion: Tensor) -> Tensor:
    """Return a mask without the companion: `gate` with the evidence against it alone.

    Args:
        mask: [V, 1, H, W].
        of_class: error of the class prompt, [V, H, W], as `errors` gives it.
        of_companion: that of the companion's prompt, [V, H, W].
    """
    return mask * gate((of_companion - of_class)[:, None], mask)


def gate(found: Tensor, mask: Tensor) -> Tensor:
    """Return a factor that takes another thing out of a mask, 1 where a place stays.

    Strong evidence against the class marks the other thing; around it every place with any evidence against the class
    goes too. Weak evidence alone takes out nothing: what is new in a thing is no evidence for its class either. Without
    any evidence the whole mask stays.

    Args:
        found: how much better the class explains a place than the other thing does, [V, 1, H, W].
        mask: the mask so far, the same shape.
    """
    top = (found * mask).amax((1, 2, 3), keepdim=True)
    against = -found / top.clamp_min(1e-12)
    other = widen(torch.sigmoid((against - STRONG) / CERTAINTY), AROUND) * torch.sigmoid(against / CERTAINTY)
    return torch.where(top > 0, 1 - other, torch.ones_like(other))
