"""Sample images during training, at a fixed seed, beside those of the base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..method.recipe import BASE, LEARNER
from ..network import sampling
from ..text.texts import MARKER, ConceptTexts, parse_caption
from .branched_model import BranchedModel

CFG, STEPS = 4.0, 20


@dataclass(frozen=True)
class Preview:
    """The latents that one prompt gives at one seed.

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
    """Return pairs of a prompt and the base's prompt: the same without the concept.

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


class PreviewSampler:
    """Samples all prompts at one seed, with Euler's method and guidance.

    Args:
        branched: the model in training; its conditioner must know the texts, and the empty one.
        shape: (C, h, w) of the latents.
        texts: pairs of `preview_texts`.
        seed: of the noise.
    """

    def __init__(
        self, branched: BranchedModel, shape: tuple[int, int, int], texts: Sequence[tuple[str, str]], seed: int
    ):
        self._branched, self._texts, self._seed = branched, texts, seed
        device, path = branched.field.device, branched.field.path
        self._noise = torch.randn(1, *shape, generator=torch.Generator().manual_seed(seed)).to(device)
        self._t = path.steps(STEPS).to(device)
        self._base: list[Tensor] | None = None

    def __call__(self) -> list[Preview]:
        """Return a preview of every prompt as the model is now, latents in the model's space."""
        if self._base is None:
            self._base = [self._sample(BASE, base) for _, base in self._texts]
        return [
            Preview(prompt, self._seed, base, self._sample(LEARNER, prompt))
            for (prompt, _), base in zip(self._texts, self._base, strict=True)
        ]

    def _sample(self, branch: str | None, prompt: str) -> Tensor:
        return sampling.sample(self._branched.guided(branch, [prompt], CFG), self._noise, self._t)
