"""Find the masks of the references on the base model, show them, and check them for implausible ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from ...adapters.adapter import fingerprint
from ...method.anchored import AnchoredLearning
from ...sheets.mask_overlay import overlay
from ...text.texts import class_prompt
from ...training import concept_masks
from ...training.common_things import WORDS
from ...training.companions import companion_prompts
from ...training.concept_masks import concept_mask
from ...training.dataset import ConceptDataset, ConceptItem
from ...training.sharpening import sharpened
from ..messages import Message, Phase
from ..models.copies import trainable_world
from ..models.host_models import HostModels
from .assembly import Assembly, assembled
from .drawn_cache import BaseDraws
from .find_companion import Explaining, without_companion
from .finite import require_finite
from .identity import base_hash
from .job import EmbeddingSpec, Job, ReferenceSpec
from .listener import OnPhase, unheard
from .out_of_memory import halve_until_it_fits

NEARLY_ALL, NEARLY_NONE = 0.9, 0.02
"""Shares of an image: a mask that covers more, or less, is hardly right."""


@dataclass(frozen=True)
class Masked:
    """References with masks.

    Attributes:
        dataset: every image of a thing has a mask.
        companion: the word of what stands beside the concept and was taken out of the masks; empty: nothing.
        missed: words of the user that were looked for, if none was found.
    """

    dataset: ConceptDataset
    companion: str = ""
    missed: tuple[str, ...] = ()


def find_masks(
    models: HostModels,
    dataset: ConceptDataset,
    on_phase: OnPhase,
    found: Callable[[], None] = lambda: None,
    cache: bool = False,
    companion: tuple[str, ...] = WORDS,
) -> Masked:
    """Return the dataset with a mask for every image, as training would find it, from a private copy of MODEL.

    Args:
        models: the user's MODEL and CLIP.
        dataset: the references; masks that they have stay.
        on_phase: called with each phase.
        found: called after every image.
        cache: whether the masks are kept on the disk for later runs, and taken from there.
        companion: words of things that are looked for beside the concept and taken out of the masks; none: it stays.

    Raises:
        ValueError: model, CLIP and dataset do not fit together, or all words name the concept.
        OutOfMemory: the device's memory is too small.
    """
    if not dataset.lacks_masks:
        return Masked(dataset)

    companion_prompts(dataset.class_word, companion)
    spec = EmbeddingSpec(input_token=False, layer_wise=False)
    job = Job("masks", AnchoredLearning(replay=False), embedding=spec, references=ReferenceSpec(companion=companion))
    with trainable_world(), assembled(models, dataset, job, on_phase) as assembly:
        draws = BaseDraws(base_hash(assembly.field), assembly) if cache else None
        return with_masks(assembly, dataset, companion, on_phase, found, draws)


def with_masks(
    assembly: Assembly,
    dataset: ConceptDataset,
    companion: tuple[str, ...] = WORDS,
    on_phase: OnPhase = unheard,
    found: Callable[[], None] = lambda: None,
    draws: BaseDraws | None = None,
) -> Masked:
    """Return the dataset with a mask for every image that lacks one; see `find_masks`.

    Args:
        assembly: the private copy.
        dataset: the references.
        companion: words of things that are looked for beside the concept; none: nothing is.
        on_phase: called before every look at an image.
        found: called after every image.
        draws: keeps the masks for later runs; None: they are not kept.
    """
    if not dataset.lacks_masks:
        return Masked(dataset)
    prompt, items = class_prompt(dataset.class_word), []
    for k, item in enumerate(dataset.items, start=1):
        if item.mask is None:
            on_phase(Phase.FIND_MASKS, word=dataset.class_word, number=k, count=len(dataset.items))
            scaled = assembly.field.latents_in(item.latents)
            find = partial(concept_mask, assembly.branched, scaled, item.texts.base, prompt, 0)
            attempt = partial(
                halve_until_it_fits, f"finding the {dataset.class_word} in image {k}", find, concept_masks.SAMPLES
            )
            draw = partial(_draw, assembly, f"the mask of image {k}", attempt)
            texts = [prompt, item.texts.base, ""]
            of = {"what": "mask", "texts": texts, "samples": concept_masks.SAMPLES}
            of["latents"] = fingerprint({"latents": item.latents})
            mask = (draw() if draws is None else draws.recall(texts, of, draw))["mask"]
            item = replace(item, mask=mask)
        items.append(item)
        found()
    new, word = [k for k, item in enumerate(dataset.items) if item.mask is None], ""
    found_here = [items[k] for k in new]
    if companion:
        explaining = Explaining(assembly, dataset.class_word, companion, on_phase, draws)
        found_here, word = without_companion(explaining, found_here)
    for k, item in zip(new, _sharp(found_here), strict=True):
        items[k] = item
    missed = () if word or companion == WORDS else companion
    return Masked(replace(dataset, items=tuple(items)), word, missed)


def _sharp(items: Sequence[ConceptItem]) -> list[ConceptItem]:
    """Return references of one concept with masks that end where its colours end."""
    known = [item for item in items if item.mask is not None and len(item.images) == len(item.mask)]
    places = [mask[0] for item in known if item.mask is not None for mask in item.mask]
    found = iter(sharpened([image for item in known for image in item.images], places))
    sharp = {id(item): torch.stack([next(found) for _ in item.images])[:, None] for item in known}
    return [replace(item, mask=sharp.get(id(item), item.mask)) for item in items]


def _draw(assembly: Assembly, words: str, attempt: Callable[[], Tensor]) -> dict[str, Tensor]:
    return {"mask": require_finite(assembly, words, attempt())}


def pictures(dataset: ConceptDataset) -> list[Tensor]:
    """Return each reference with its mask shown, [h, w, 3]."""
    return [overlay(i.image, None if i.mask is None else i.mask[0]) for i in dataset.items]


def companion_note(masked: Masked) -> Message | None:
    """Return what the user should know of the companion that was left out, or that was named and not found."""
    word = masked.dataset.class_word
    if masked.missed:
        return Message("note_companion_missed", {"companion": ", ".join(masked.missed), "word": word})
    return Message("note_companion", {"companion": masked.companion, "word": word}) if masked.companion else None


def remarks(masked: Masked) -> list[str]:
    """Return lines about the masks: how much they cover, what was left out, and a warning for each hardly right."""
    dataset = masked.dataset
    shares = [None if i.mask is None else float(i.mask[0].mean()) for i in dataset.items]
    known = [s for s in shares if s is not None]
    if not known:
        return ["A style has no mask: whole images are learned."]
    out = [f"{len(known)} masks; they cover {min(known):.0%} to {max(known):.0%} of their images."]
    if note := companion_note(masked):
        out.append(str(note))
    for k, (share, item) in enumerate(zip(shares, dataset.items, strict=True), start=1):
        if share is None or NEARLY_NONE <= share <= NEARLY_ALL:
            continue
        much = "nearly everything" if share > NEARLY_ALL else "nearly nothing"
        out.append(
            f"Warning: the mask of image {k} ({item.texts.complete!r}) covers {share:.0%} of it, {much}. If that is "
            "wrong, connect your own masks to Concept Dataset."
        )
    return out
