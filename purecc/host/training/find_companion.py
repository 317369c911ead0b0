"""Find what stands beside the concept in all references on the base model, and take it out of the masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

from torch import Tensor

from ...adapters.adapter import fingerprint
from ...text.texts import class_prompt
from ...training import companions, concept_masks
from ...training.agreement import wrong_way_round
from ...training.common_things import WORDS
from ...training.dataset import ConceptItem
from ..messages import Phase
from .assembly import Assembly
from .drawn_cache import BaseDraws
from .finite import require_finite
from .listener import OnPhase, unheard
from .out_of_memory import halve_until_it_fits


@dataclass(frozen=True)
class Explaining:
    """Asks the base which prompt explains references, by place.

    Attributes:
        assembly: the private copy.
        class_word: of the concept.
        words: of the things that are tried.
        on_phase: called before every look at a reference.
        draws: keeps the answers for later runs; None: they are not kept.
    """

    assembly: Assembly
    class_word: str
    words: tuple[str, ...] = WORDS
    on_phase: OnPhase = unheard
    draws: BaseDraws | None = None

    @cached_property
    def prompts(self) -> dict[str, str]:
        """The prompt of every word."""
        return companions.companion_prompts(self.class_word, self.words)

    @property
    def named(self) -> bool:
        """Whether the user has named what is there."""
        return self.words != WORDS

    def first_looks(self, count: int) -> list[int]:
        """Return which of so many references all words are tried on first; none where there are few words."""
        return companions.looked_at(count) if len(self.prompts) > companions.LIKELY else []

    def likely(self, images: Sequence[Tensor]) -> list[str]:
        """Return the words that are worth a closer look at images [1, C, h, w]: all where there are few."""
        words, first = list(self.prompts), self.first_looks(len(images))
        if not first:
            return words
        copy, looks = companions.first_look(concept_masks.SAMPLES), []
        for number, k in enumerate(first, start=1):
            self.tell(number, len(images))
            looks.append(self.errors(images[k], words, copy)[0])
        return companions.likely(words, looks, 0.0 if self.named else companions.PROMISING)

    def closely(self, images: Sequence[Tensor], words: Sequence[str]) -> list[Tensor]:
        """Return the errors of words for images [1, C, h, w] after the first looks at them."""
        out: list[Tensor] = []
        for number, image in enumerate(images, start=len(self.first_looks(len(images))) + 1):
            self.tell(number, len(images))
            out.append(self.errors(image, words))
        return out

    def tell(self, number: int, images: int) -> None:
        """Tell of a look, one of as many as so many images may need."""
        count = len(self.first_looks(images)) + images
        self.on_phase(Phase.FIND_COMPANION, word=self.class_word, number=number, count=count)

    def errors(self, latents: Tensor, words: Sequence[str], copies: slice = companions.COPIES) -> Tensor:
        """Return the errors of class prompt, empty prompt and words for a reference [V, C, h, w], [V, 2 + K, h, w]."""
        prompts = [class_prompt(self.class_word), "", *(self.prompts[word] for word in words)]
        scaled = self.assembly.field.latents_in(latents)
        find = partial(companions.errors, self.assembly.branched, scaled, prompts, 0, copies=copies)

        def draw() -> dict[str, Tensor]:
            doing = f"looking for what stands beside the {self.class_word}"
            found = halve_until_it_fits(doing, find, concept_masks.SAMPLES // 2)
            return {"errors": require_finite(self.assembly, "what stands beside the concept", found)}

        if self.draws is None:
            return draw()["errors"]
        at = [copies.start, copies.stop, copies.step]
        of = {"what": "companion", "prompts": prompts, "samples": concept_masks.SAMPLES, "copies": at}
        return self.draws.recall(prompts, {**of, "latents": fingerprint({"latents": latents})}, draw)["errors"]


def without_companion(explaining: Explaining, items: Sequence[ConceptItem]) -> tuple[list[ConceptItem], str]:
    """Return references whose masks leave out what stands beside the concept in most of them, and its word or "".

    Common words are tried only where the masks are long enough to be of two things.

    Args:
        explaining: asks the base.
        items: references with the masks that were found.
    """
    before = [item.mask for item in items if item.mask is not None]
    if not explaining.named and not companions.may_be_two(before):
        return list(items), ""
    explaining.assembly.read(explaining.prompts.values())
    images = [item.latents[:1] for item in items]  # without their variants
    words = explaining.likely(images)
    if not words:
        return list(items), ""
    errors = explaining.closely(images, words)
    seen = [companions.beside(e[0, 0], e[0, 1], e[0, 2:]) for e in errors]
    explained = dict(zip(words, zip(*(by_word for by_word, _ in seen), strict=True), strict=True))
    least = 0.0 if explaining.named else companions.LEAST
    word = companions.companion(explained, [of_class for _, of_class in seen], least)
    if not word:
        return list(items), ""
    at = 2 + words.index(word)
    whole = partial(explaining.errors, words=words)
    errors = [e if len(i.latents) == 1 else whole(i.latents) for e, i in zip(errors, items, strict=True)]
    found = [companions.parted(mask, e[:, 0], e[:, at]) for mask, e in zip(before, errors, strict=True)]
    distances = [distance for _, distance in found]
    after = [mask for mask, _ in found]
    wrong = wrong_way_round([i.image for i in items], [m[0, 0] for m in before], [m[0, 0] for m in after])
    after = [b - a if w else a for b, a, w in zip(before, after, wrong, strict=True)]
    if not companions.plausible(before, after, distances):
        return list(items), ""
    return [replace(item, mask=mask) for item, mask in zip(items, after, strict=True)], word
