"""Find a thing that stands beside the concept in all references, and take it out of their masks.

What all references share is learned with the concept, and a mask keeps out only what is plainly of another class than
four that are tried. So common things are tried one by one: where a thing stands, its prompt predicts the reference
better than the class prompt does, and better than the empty one (the diffusion classifier, arXiv 2303.16203, place by
place). Once the companion is known, the evidence for the class is weighed against it alone, which parts the two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median_low

import torch
from torch import Tensor

from ..method.maps import blur
from ..method.recipe import BASE
from ..text.texts import class_prompt
from .branched_model import BranchedModel
from .concept_masks import SAMPLES, WIDE_BLUR, gate, noised

LEAVE_OUT, KEEP = "leave out", "keep"
CHOICES = (LEAVE_OUT, KEEP)
"""What is done about a companion: it is taken out of the masks, or learned with the concept."""
WORDS = (
    *("person", "hand", "dog", "cat", "house", "tree", "car", "boat", "cup", "bottle", "chair", "table", "flower"),
    *("ball", "fish", "star", "heart"),
)
"""Common things. Those that a model does not know explain nothing better than the empty prompt."""
FEW = (2, 6)
"""The noised copies of a reference on which all words are tried."""
ALL = tuple(range(SAMPLES))
"""Those on which the shortlist is."""
CANDIDATE, SHORTLIST = 0.25, 4
"""Score from which a word is tried on all copies, and the largest number of such words."""
LEAST, CLEAR = 0.6, 1.5
"""Score of a companion, and the least factor by which it must be above that of the next word."""
LIKE_THE_CLASS = 0.5
"""Share of the class's own evidence from which a word means the concept itself."""


def companion_prompts(class_word: str) -> dict[str, str]:
    """Return the prompts of common things by word, without those that the class word names."""
    own = class_word.lower().split()
    return {word: class_prompt(word) for word in WORDS if word not in own}


@torch.no_grad()
def errors(
    branched: BranchedModel,
    latents: Tensor,
    prompts: Sequence[str],
    copies: Sequence[int],
    seed: int = 0,
    limit: int | None = SAMPLES,
) -> Tensor:
    """Return how wrongly the base predicts a reference with each prompt, by place, widely blurred.

    Args:
        branched: the model; its base gives the velocities.
        latents: [V, C, H, W], in the model's space.
        prompts: K prompts that the conditioner knows.
        copies: which of the `SAMPLES` noised copies are used.
        seed: of the noise; that of the masks.
        limit: the most samples in one pass.

    Returns:
        Squared errors, the mean over copies and channels, [V, K, H, W].
    """
    out = []
    for x_t, t, v in noised(latents, seed, branched.field.device):
        x_t, t, v = (a[list(copies)] for a in (x_t, t, v))
        each = [branched.run(BASE, x_t, t, [prompt] * len(copies), limit) for prompt in prompts]
        out.append(torch.stack([(predicted - v).float().square().mean((0, 1)) for predicted in each]).cpu())
    found = torch.stack(out)
    return blur(found.flatten(0, 1)[:, None], WIDE_BLUR).view_as(found)


def scores(of_class: Tensor, of_empty: Tensor, of_words: Tensor) -> Tensor:
    """Return how surely each of K words names a thing beside the concept in one reference.

    max min(e_class − e_word, e_empty − e_word) / max (e_empty − e_class), over places: what the word explains that
    neither the class nor nothing does, in parts of what the class explains. A word that explains the concept's own
    place, such as the class in other words, has 0.

    Args:
        of_class: error of the class prompt, [H, W], as `errors` gives it.
        of_empty: error of the empty prompt, [H, W].
        of_words: errors of the words' prompts, [K, H, W].

    Returns:
        [K].
    """
    own = (of_empty - of_class).flatten()
    best = own.max().clamp_min(1e-12)
    beside = torch.minimum(of_class - of_words, of_empty - of_words).flatten(1).amax(1) / best
    there = (of_empty - of_words).flatten(1)[:, own.argmax()]
    return torch.where(there < LIKE_THE_CLASS * best, beside.clamp_min(0), 0.0)


def shortlist(by_word: Mapping[str, Sequence[float]]) -> list[str]:
    """Return the words to try on all copies, the likeliest first, by their scores in all references."""
    ranked = sorted(((median_low(own), word) for word, own in by_word.items()), reverse=True)
    return [word for score, word in ranked[:SHORTLIST] if score >= CANDIDATE]


def companion(by_word: Mapping[str, Sequence[float]]) -> str:
    """Return the word of a thing that is beside the concept in most references; empty where there is none.

    Args:
        by_word: its scores in all references, on all copies, for each word of the shortlist.
    """
    ranked = sorted(((median_low(own), word) for word, own in by_word.items()), reverse=True)
    if not ranked or ranked[0][0] < LEAST:
        return ""
    return "" if len(ranked) > 1 and ranked[0][0] < CLEAR * ranked[1][0] else ranked[0][1]


def without(mask: Tensor, of_class: Tensor, of_companion: Tensor) -> Tensor:
    """Return a mask without the companion: `gate` with the evidence against it alone.

    Args:
        mask: [V, 1, H, W].
        of_class: error of the class prompt, [V, H, W], as `errors` gives it.
        of_companion: that of the companion's prompt, [V, H, W].
    """
    return mask * gate((of_companion - of_class)[:, None], mask)
