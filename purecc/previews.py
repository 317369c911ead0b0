"""Pictures of a run while it learns: the model's own at a fixed seed, and the base's beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from . import sampling
from .measure import guided
from .recipes import BASE, LEARNER
from .texts import MARKER, ConceptTexts, parse_caption
from .trainee import Trainee


@dataclass(frozen=True)
class Preview:
    """What one prompt gives at one seed.

    Attributes:
        prompt: with [v] for the concept.
        seed: of the noise.
        base: the untouched base's latent for the prompt without the concept, [1, C, h, w]; the same at every step.
        current: the latent of the model in training, [1, C, h, w].
    """

    prompt: str
    seed: int
    base: Tensor
    current: Tensor


def preview_texts(prompts: Sequence[str], first: ConceptTexts) -> list[tuple[str, str]]:
    """Pairs of a prompt and what the base is asked instead: the same without the concept.

    Args:
        prompts: with [v] for the concept, or without; none: the caption of the first reference.
        first: texts of the first reference.
    """
    return [(p, _without(p, first)) for p in prompts] or [(first.complete, first.base)]


def _without(prompt: str, like: ConceptTexts) -> str:
    try:
        return parse_caption(prompt, like.class_word, like.kind).base
    except ValueError:  # a prompt need not be a caption
        return " ".join(prompt.replace(MARKER, " ").replace(MARKER.upper(), " ").split())


class PreviewProbe:
    """Draws all prompts at one seed, with Euler's method and guidance.

    Args:
        trainee: what is being trained; its conditioner must know the texts, and the empty one.
        shape: (C, h, w) of the latents.
        texts: of `preview_texts`.
        seed: of the noise.
        steps: of the sampler.
        cfg: its guidance.
    """

    def __init__(
        self,
        trainee: Trainee,
        shape: tuple[int, int, int],
        texts: Sequence[tuple[str, str]],
        seed: int,
        steps: int = 20,
        cfg: float = 4.0,
    ):
        self._trainee, self._texts, self._seed, self._cfg = trainee, texts, seed, cfg
        device = trainee.model.device
        self._noise = torch.randn(1, *shape, generator=torch.Generator().manual_seed(seed)).to(device)
        self._t = sampling.times(steps).to(device)
        self._base: list[Tensor] | None = None

    def __call__(self) -> list[Preview]:
        """A preview of every prompt now; latents are the model's own."""
        if self._base is None:
            self._base = [self._draw(BASE, base) for _, base in self._texts]
        return [
            Preview(prompt, self._seed, base, self._draw(LEARNER, prompt))
            for (prompt, _), base in zip(self._texts, self._base, strict=True)
        ]

    def _draw(self, branch: str | None, prompt: str) -> Tensor:
        return sampling.sample(guided(self._trainee, branch, [prompt], self._cfg), self._noise, self._t)
