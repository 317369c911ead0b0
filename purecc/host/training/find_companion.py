"""Find what stands beside the concept in all references on the base model, and take it out of the masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from ...adapters.adapter import fingerprint
from ...text.texts import class_prompt
from ...training import companions
from ...training.dataset import ConceptItem
from .assembly import Assembly
from .drawn_cache import BaseDraws
from .finite import require_finite
from .out_of_memory import halve_until_it_fits


@dataclass(frozen=True)
class Explaining:
    """Asks the base which prompt explains references, by place.

    Attributes:
        assembly: the private copy.
        class_word: of the concept.
        draws: keeps the answers for later runs; None: they are not kept.
    """

    assembly: Assembly
    class_word: str
    draws: BaseDraws | None = None

    def errors(self, latents: Tensor, words: Sequence[str], copies: Sequence[int]) -> Tensor:
        """Return the errors of class prompt, empty prompt and words for a reference [V, C, h, w], [V, 2 + K, h, w]."""
        known = companions.companion_prompts(self.class_word)
        prompts = [class_prompt(self.class_word), "", *(known[word] for word in words)]
        scaled = self.assembly.field.latents_in(latents)
        find = partial(companions.errors, self.assembly.branched, scaled, prompts, copies, 0)

        def draw() -> dict[str, Tensor]:
            doing = f"looking for what stands beside the {self.class_word}"
            found = halve_until_it_fits(doing, find, companions.SAMPLES)
            return {"errors": require_finite(self.assembly, "what stands beside the concept", found)}

        if self.draws is None:
            return draw()["errors"]
        of = {"what": "companion", "prompts": prompts, "copies": list(copies)}
        return self.draws.recall(prompts, {**of, "latents": fingerprint({"latents": latents})}, draw)["errors"]

    def scores(self, references: Sequence[Tensor], words: Sequence[str], copies: Sequence[int]) -> dict[str, list]:
        """Return the scores of each word in all references, by their first variants."""
        by_word: dict[str, list[float]] = {word: [] for word in words}
        for latents in references:
            of_class, of_empty, *_ = found = self.errors(latents[:1], words, copies)[0]
            for word, score in zip(words, companions.scores(of_class, of_empty, found[2:]).tolist(), strict=True):
                by_word[word].append(score)
        return by_word


def without_companion(explaining: Explaining, items: Sequence[ConceptItem]) -> tuple[list[ConceptItem], str]:
    """Return references whose masks leave out what stands beside the concept in most of them, and its word or "".

    Args:
        explaining: asks the base.
        items: references with the masks that were found.
    """
    references = [item.latents for item in items]
    every = list(companions.companion_prompts(explaining.class_word))
    words = companions.shortlist(explaining.scores(references, every, companions.FEW))
    word = companions.companion(explaining.scores(references, words, companions.ALL)) if words else ""
    if not word:
        return list(items), ""
    out = []
    for item in items:
        found = explaining.errors(item.latents, [word], companions.ALL)
        assert item.mask is not None
        out.append(replace(item, mask=companions.without(item.mask, found[:, 0], found[:, 2])))
    return out, word
