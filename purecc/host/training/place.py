"""Say and change where the concept stands in a run's references, and show what was moved."""

from __future__ import annotations

from dataclasses import replace

from comfy.model_patcher import ModelPatcher

from ...training.dataset import ConceptDataset
from ...training.placing import OFF, place_references
from ..families.sizes import latents_per_patch
from ..messages import Message
from .job import Job
from .listener import Listener

SHOWN = 3
"""Moved versions of a reference that are shown."""


def placed(dataset: ConceptDataset, job: Job, model: ModelPatcher, listener: Listener) -> ConceptDataset:
    """Return the references that training samples, as the job's `places` has them.

    Args:
        dataset: the references with their masks, in the order of their content.
        job: what to train, resolved.
        model: MODEL.
        listener: told how many references were changed, and shown some that were moved.
    """
    if job.references.places == OFF:
        return dataset
    made = place_references(dataset.items, job.references.places, latents_per_patch(model), job.settings.seed)
    if made.moved:
        listener.note(Message("note_moved", {"moved": len(made.moved), "of": len(dataset.items)}))
        shown = (item for versions in made.moved for item in versions[:SHOWN])
        listener.masks(replace(dataset, items=(*dataset.items, *shown)))
    elif made.said:
        listener.note(Message("note_placed", {"said": made.said, "of": len(dataset.items)}))
    return replace(dataset, items=made.items)
