"""Masks of the references: found on the base, shown, and looked at for what cannot be right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from comfy.sd import CLIP
from torch import Tensor

from ..dataset import ConceptDataset
from ..masks import DRAWS, concept_mask, mask_prompts
from ..overlay import overlay
from ..recipes import AnchoredLearning
from ..trainee import Trainee
from .assembly import assembled
from .copies import trainable_world
from .job import Job
from .rescue import within_memory

NEARLY_ALL, NEARLY_NONE = 0.9, 0.02
"""Shares of a picture beyond which a mask keeps next to nothing out, or in."""


def find_masks(
    model, clip: CLIP, dataset: ConceptDataset, say: Callable[[str], None], found: Callable[[], None] = lambda: None
) -> ConceptDataset:
    """The dataset with a mask for every picture, as training would find it, on a private copy of the user's MODEL.

    Args:
        model: MODEL.
        clip: CLIP that belongs to it.
        dataset: the references; masks that they have stay.
        say: told what is being done.
        found: called after every picture.

    Raises:
        ValueError: model, CLIP and dataset do not fit together.
        OutOfMemory: the device's memory is too small.
    """
    if not lacking(dataset):
        return dataset
    job = Job("masks", AnchoredLearning(replay=False), input_token=False, layer_wise=False)
    with trainable_world(), assembled(model, clip, dataset, job, say) as assembly:
        return with_masks(assembly.trainee, dataset, say, found)


def with_masks(
    trainee: Trainee, dataset: ConceptDataset, say: Callable[[str], None], found: Callable[[], None] = lambda: None
) -> ConceptDataset:
    """The dataset with a mask for every picture that lacks one; `trainee.model` is a HostField. See `find_masks`."""
    if not lacking(dataset):
        return dataset
    (prompt, others), items = mask_prompts(dataset.class_word), []
    for k, item in enumerate(dataset.items, start=1):
        if item.mask is None:
            say(f"looking for the {dataset.class_word} in picture {k} of {len(dataset.items)}")
            scaled = trainee.model.latents_in(item.latents)
            find = partial(concept_mask, trainee, scaled, item.texts.base, prompt, others, 0)
            mask = within_memory(f"looking for the {dataset.class_word} in picture {k}", find, DRAWS)
            item = replace(item, mask=mask)
        items.append(item)
        found()
    return replace(dataset, items=tuple(items))


def lacking(dataset: ConceptDataset) -> bool:
    """Whether a picture has no mask and can have one: a style is everywhere, and needs none."""
    return dataset.kind == "instance" and any(i.mask is None for i in dataset.items)


def pictures(dataset: ConceptDataset) -> list[Tensor]:
    """Each reference [h, w, 3] with its mask shown."""
    return [overlay(i.image, None if i.mask is None else i.mask[0]) for i in dataset.items]


def remarks(dataset: ConceptDataset) -> list[str]:
    """What there is to say of the masks: first how much they cover, then a warning for each that cannot be right."""
    shares = [None if i.mask is None else float(i.mask[0].mean()) for i in dataset.items]
    known = [s for s in shares if s is not None]
    if not known:
        return ["A style is everywhere in its pictures: there is no mask, and all of each picture is learned."]
    out = [f"{len(known)} masks; they cover {min(known):.0%} to {max(known):.0%} of their pictures."]
    for k, (share, item) in enumerate(zip(shares, dataset.items, strict=True), start=1):
        if share is None or NEARLY_NONE <= share <= NEARLY_ALL:
            continue
        much = "nearly everything" if share > NEARLY_ALL else "nearly nothing"
        out.append(
            f"Warning: the mask of picture {k} ({item.texts.complete!r}) covers {share:.0%} of it, {much}. If that is "
            "not right, give Concept Dataset masks of your own."
        )
    return out
