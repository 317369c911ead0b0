"""Make a run's references smaller where they show the concept larger than the base model draws its class."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from statistics import median

import torch
from torch import Tensor

from ...text.texts import class_prompt
from ...training import concept_masks, pool, sizing
from ...training.dataset import ConceptDataset, ConceptItem
from ..messages import Message, Phase
from .assembly import Assembly
from .draw_pool import drawn
from .drawn_cache import BaseDraws
from .find_masks import Masked, with_masks
from .finite import require_finite
from .job import Job
from .listener import Listener
from .out_of_memory import halve_until_it_fits

SEED = 0
"""Of the images of the class: the usual size does not depend on the run's seed."""


def fitted(
    assembly: Assembly,
    given: ConceptDataset,
    masked: Masked,
    job: Job,
    listener: Listener,
    draws: BaseDraws | None,
) -> ConceptDataset:
    """Return the references as the job's `size` has them.

    Where the base found a mask, it finds it again in what was made smaller, since it knows the class better at its
    usual size. Of the two masks the lesser counts: the repeated edges are new to it, too.

    Args:
        assembly: the private copies.
        given: the references as the user gave them.
        masked: the same with their masks.
        job: what to train, resolved.
        listener: told and shown what was made smaller.
        draws: keeps the usual size for later runs; None: it is not kept.

    Raises:
        ValueError: an image of the base, or the VAE's of a reference, is not finite.
        OutOfMemory: the device's memory is too small.
    """
    dataset = masked.dataset
    known = [k for k, item in enumerate(dataset.items) if item.mask is not None and item.shrink is not None]
    masks = [_mask(dataset.items[k])[0] for k in known]
    if job.references.size == sizing.KEEP or not sizing.may_be_large(masks):
        return dataset
    factors = dict(zip(known, sizing.factors(masks, _usual(assembly, dataset, listener, draws)), strict=True))
    smaller = [k for k in known if factors[k] < 1]
    if not smaller:
        return dataset
    items = [sizing.made_smaller(item, factors.get(k, 1.0)) for k, item in enumerate(dataset.items)]
    again = [k for k in smaller if given.items[k].mask is None]
    unknown = tuple(replace(item, mask=None) if k in again else item for k, item in enumerate(items))
    companion = (masked.companion,) if masked.companion else ()
    asked = assembly, replace(dataset, items=unknown), companion, listener.phase
    found = with_masks(*asked, draws=draws).dataset.items
    for k in again:
        items[k] = replace(items[k], mask=torch.minimum(_mask(items[k]), _mask(found[k])))
    fit = replace(dataset, items=tuple(items))
    listener.note(Message("note_smaller", {"smaller": len(smaller), "of": len(items), "word": dataset.class_word}))
    listener.masks(fit)
    return fit


def _mask(item: ConceptItem) -> Tensor:
    assert item.mask is not None
    return item.mask


def _usual(assembly: Assembly, dataset: ConceptDataset, listener: Listener, draws: BaseDraws | None) -> float:
    """Return how large the base draws the class, in the shapes of the references."""
    prompt = class_prompt(dataset.class_word)
    items = dataset.by_content().items  # in whichever order they are listed

    def draw() -> dict[str, Tensor]:
        images = drawn(assembly, items, ((prompt,), sizing.IMAGES, SEED), listener.phase, None)
        sizes = []
        for number, image in enumerate(images, start=1):
            listener.phase(Phase.FIND_MASKS, word=dataset.class_word, number=number, count=len(images))
            find = partial(sizing.class_size, assembly.branched, image.latents, prompt)
            doing = f"measuring an image of a {dataset.class_word}"
            sizes.append(halve_until_it_fits(doing, find, concept_masks.SAMPLES))
        return {"size": require_finite(assembly, f"the size of a {dataset.class_word}", torch.tensor([median(sizes)]))}

    of = {"what": "size", "images": sizing.IMAGES, "samples": concept_masks.SAMPLES, "seed": SEED}
    of |= {"cfg": pool.CFG, "steps": pool.STEPS, "shapes": [list(i.latents.shape[1:]) for i in items]}
    return float((draw() if draws is None else draws.recall([prompt, ""], of, draw))["size"])
