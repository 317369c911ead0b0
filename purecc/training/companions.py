"""Find a thing that stands beside the concept in all references, and take it out of their masks.

What all references share is learned with the concept, and a mask takes in every thing that the base did not expect. So
common things are tried one by one: where a thing stands, its prompt predicts the reference better than the class prompt
does, and better than the empty one (the diffusion classifier, arXiv 2303.16203, place by place). Once the companion is
known, the evidence for either has a centre, and the mask ends half-way between the two. Place by place it could not be
parted: what is new in the concept is evidence against its class, too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median_low

import torch
from torch import Tensor

from ..method.maps import blur, spread
from ..method.recipe import BASE
from ..text.texts import class_prompt
from .branched_model import BranchedModel
from .common_things import WORDS
from .concept_masks import noised

LEAVE_OUT, KEEP = "leave out", "keep"
CHOICES = (LEAVE_OUT, KEEP)
"""What is done about a companion: it is taken out of the masks, or learned with the concept."""
COPIES = slice(1, None, 2)
"""Which of a reference's noised copies likely words are tried on: every second."""
LOOKED_AT = 3
"""How many references all words are tried on first, each noised once."""
LIKELY = 4
"""How many words are tried on all references and more copies."""
PROMISING = 0.3
"""What the likeliest word explains at that look, in parts of what the class explains, that a closer look is worth."""
LEAST = 0.45
"""Score of a companion that nobody has named."""
LIKE_THE_CLASS = 0.5
"""Share of the class's own evidence from which a word means the concept itself."""
LEFT = 1 / 3
"""Share of a mask that the concept has at least, beside a companion."""
WIDE_BLUR = 0.12
"""Deviation of the evidence's blur, in sides of the image: it separates things and not their parts."""
APART = 0.65
"""Distance of the centres of two things, in sides of a square as large as their mask; of two squares it is .7 or more,
and of the halves of one it is half."""
WIDE = 0.37
"""Spread of a mask, see `maps.spread`, from which it may be of two things: that of squares that `plausible` allows."""
EDGE = 0.04
"""Width of the edge of a parted mask, in sides of the image."""


def words_tried(choice: str, own: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the words of things to look for beside the concept: the user's own, else common ones; none to keep it."""
    return () if choice == KEEP else tuple(dict.fromkeys(own)) or WORDS


def described(words: Sequence[str]) -> str:
    """Return what is done about a companion as files tell it: a member of `CHOICES`, or the user's own words."""
    return KEEP if not words else LEAVE_OUT if tuple(words) == WORDS else ", ".join(words)


def companion_prompts(class_word: str, words: Sequence[str] = WORDS) -> dict[str, str]:
    """Return the prompts of things by word, without those that the class word names.

    Args:
        class_word: of the concept.
        words: of the things; none is allowed.

    Raises:
        ValueError: a word cannot be a prompt's, or there are words, and all name the concept.
    """
    own = class_word.lower().split()
    prompts = {word: _prompt(word) for word in words if word.lower() not in (*own, class_word.lower())}
    if words and not prompts:
        raise ValueError(
            f"companion_words ({', '.join(words)}) names the concept itself. Write what stands beside the "
            f"{class_word}, or nothing to have common things tried."
        )
    return prompts


def _prompt(word: str) -> str:
    try:
        return class_prompt(word)
    except ValueError:
        raise ValueError(
            f"companion_words: {word!r} is not plain words. Write things as a prompt names them, with commas between "
            "them: umbrella, beach ball."
        ) from None


@torch.no_grad()
def errors(
    branched: BranchedModel,
    latents: Tensor,
    prompts: Sequence[str],
    seed: int = 0,
    limit: int | None = None,
    copies: slice = COPIES,
) -> Tensor:
    """Return how wrongly the base predicts a reference with each prompt, by place, widely blurred.

    Args:
        branched: the model; its base gives the velocities.
        latents: [V, C, H, W], in the model's space.
        prompts: K prompts that the conditioner knows.
        seed: of the noise; that of the masks.
        limit: the most samples in one pass.
        copies: of those that are noised.

    Returns:
        Squared errors, the mean over these copies and channels, [V, K, H, W].
    """
    out = []
    for x_t, t, v in noised(latents, seed, branched.field.device):
        x_t, t, v = (a[copies] for a in (x_t, t, v))
        kinds, texts = len(prompts), [prompt for prompt in prompts for _ in t]
        predicted = branched.run(BASE, x_t.repeat(kinds, 1, 1, 1), t.repeat(kinds), texts, limit)
        each = predicted.unflatten(0, (kinds, len(t))) - v
        out.append(each.float().square().mean((1, 2)).cpu())
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
    own, alone = (of_empty - of_class).flatten(), explained_alone(of_class, of_empty, of_words)
    best = own.max().clamp_min(0)
    there = (of_empty - of_words).flatten(1)[:, own.argmax()]
    return torch.where(there < LIKE_THE_CLASS * best, alone, 0.0).tolist(), float(best)


def first_look(samples: int) -> slice:
    """Return which of so many copies, two or more, all words are tried on first: the less noisy of the middle two."""
    return slice(samples // 2 - 1, samples // 2)


def explained_alone(of_class: Tensor, of_empty: Tensor, of_words: Tensor) -> Tensor:
    """Return max min(e_class − e_word, e_empty − e_word) of each word over places, [K]; see `beside`."""
    return torch.minimum(of_class - of_words, of_empty - of_words).flatten(1).amax(1).clamp_min(0)


def looked_at(count: int) -> list[int]:
    """Return which of so many references all words are tried on first: `LOOKED_AT` at most, spread over them."""
    return sorted({round(k * (count - 1) / (LOOKED_AT - 1)) for k in range(LOOKED_AT)})


def likely(words: Sequence[str], looks: Sequence[Tensor], least: float = PROMISING) -> list[str]:
    """Return the `LIKELY` words that explain most in the mean over references, in their order; none if that is little.

    Args:
        words: K of them.
        looks: errors of the class prompt, the empty one and the words' at each reference, [2 + K, H, W].
        least: what the best explains at least, in parts of what the class explains.
    """
    explained = torch.stack([explained_alone(of[0], of[1], of[2:]) for of in looks]).sum(0)
    of_class = sum(float((of[1] - of[0]).max().clamp_min(0)) for of in looks)
    score = dict(zip(words, explained.tolist(), strict=True))
    best = sorted(words, key=lambda word: -score[word])[:LIKELY]
    return [word for word in words if word in best] if score[best[0]] >= least * of_class else []


def companion(by_word: Mapping[str, Sequence[float]], of_class: Sequence[float], least: float = LEAST) -> str:
    """Return the word of a thing that is beside the concept in most references; empty where there is none.

    The score of a word is the median of what it explains, in parts of the mean of what the class explains; the highest
    counts.

    Args:
        by_word: what each word explains of every reference, as `beside` gives it.
        of_class: what the class explains of every reference.
        least: score that it has to have; 0: the best one is taken, since the user knows that it is there.
    """
    scale = sum(of_class) / max(1, len(of_class))
    score, word = max((median_low(own), word) for word, own in by_word.items())
    return word if scale > 0 and score >= least * scale else ""


def may_be_two(masks: Sequence[Tensor]) -> bool:
    """Return whether most of the masks [V, 1, H, W] are as long as two things side by side."""
    return median_low(float(spread(mask[:1])) for mask in masks) >= WIDE


def plausible(before: Sequence[Tensor], after: Sequence[Tensor], distances: Sequence[Tensor]) -> bool:
    """Return whether the companion is another thing than the concept.

    In most references it is `APART` from it, and at least `LEFT` of the mask stays: else the word names a part of the
    concept, or takes the concept with it.

    Args:
        before: the masks.
        after: the masks without the companion.
        distances: of the two centres, as `parted` gives them.
    """
    shares = [float(a.sum() / b.sum().clamp_min(1e-12)) for b, a in zip(before, after, strict=True)]
    return median_low(shares) >= LEFT and median_low(float(d.mean()) for d in distances) >= APART


def parted(mask: Tensor, of_class: Tensor, of_companion: Tensor) -> tuple[Tensor, Tensor]:
    """Return a mask without the companion, which ends half-way between its centre and the concept's.

    The centre of either is that of what its prompt explains better than the other's does, within the mask.

    Args:
        mask: [V, 1, H, W].
        of_class: error of the class prompt, [V, H, W], as `errors` gives it.
        of_companion: that of the companion's prompt, [V, H, W].

    Returns:
        The mask, and the distance of the centres in sides of a square as large as the mask before, [V]. Where one has
        no evidence, the whole mask and 0.
    """
    evidence = (of_companion - of_class) * mask[:, 0]
    for_concept, for_companion = evidence.clamp_min(0), (-evidence).clamp_min(0)
    known = (for_concept.sum((1, 2)) > 0) & (for_companion.sum((1, 2)) > 0)
    concept, companion = _centre(for_concept), _centre(for_companion)
    gap = (concept - companion).norm(dim=1)
    towards = (concept - companion) / gap.clamp_min(1e-12)[:, None]
    along = torch.einsum("vxyd,vd->vxy", _places(evidence) - ((concept + companion) / 2)[:, None, None], towards)
    side = mask.sum((1, 2, 3)).clamp_min(1e-12).sqrt() / math.sqrt(evidence[0].numel())
    stays = torch.where(known[:, None, None, None], mask * torch.sigmoid(along / EDGE)[:, None], mask)
    return stays, torch.where(known, gap / side, 0.0)


def _centre(weights: Tensor) -> Tensor:
    """Return the centre of weights [V, H, W], [V, 2] in sides of the image."""
    shares = weights / weights.sum((1, 2), keepdim=True).clamp_min(1e-12)
    return (_places(weights) * shares[..., None]).sum((1, 2))


def _places(maps: Tensor) -> Tensor:
    """Return the places of maps [V, H, W], [1, H, W, 2] in sides of the image: roots of its area."""
    height, width = maps.shape[-2:]
    rows, columns = (torch.arange(n, dtype=maps.dtype) + 0.5 for n in (height, width))
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1)[None] / math.sqrt(height * width)
