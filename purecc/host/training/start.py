"""What the learner starts as: a fresh concept, or an adapter that is trained on."""

from __future__ import annotations

import torch
from comfy.sd import CLIP
from torch import Tensor

from ...adapters.files import Adapter
from ...method.recipe import LEARNER
from ...network.embedding import observe_layers
from ...network.field import cat
from ...network.lora import LoraBranches
from ...training.branched_model import BranchedModel
from ...training.dataset import ConceptDataset
from ..models.conditioning import PromptCache
from ..models.embeddings import word_vectors
from ..models.field import HostField
from .job import Job


def start_tokens(clip: CLIP, dataset: ConceptDataset, job: Job) -> dict[str, Tensor]:
    """Return the class word's vectors with noise of a thousandth, so that two concepts of a class differ.

    The noise depends on the seed and the images, and not on the name.
    """
    generator = torch.Generator().manual_seed((job.settings.seed + dataset.number) % 2**64)
    vectors = word_vectors(clip, dataset.class_word)
    return {k: v + 1e-3 * v.std() * torch.randn(v.shape, generator=generator) for k, v in vectors.items()}


@torch.no_grad()
def start_as(branched: BranchedModel, train_on: Adapter) -> None:
    """Give the learner the weights and layer-wise vectors of an adapter; its tokens it has already.

    Raises:
        ValueError: the adapter has others than are trained.
    """
    try:
        branched.branches.fill(LEARNER, train_on.lora)
        layers = branched.prompting[LEARNER].embedding.layers
        shapes = [None if x is None else tuple(x.shape) for x in (train_on.layers, layers)]
        if shapes[0] != shapes[1]:
            raise ValueError(f"Its layer-wise vectors are {shapes[0]}, and layer_wise makes them {shapes[1]}.")
    except ValueError as error:
        raise ValueError(
            f"Training cannot go on from train_on, {train_on.name!r}. {error} Give this node the rank, alpha, "
            "target_layers and layer_wise that the adapter was trained with, or disconnect train_on."
        ) from None
    if layers is not None and train_on.layers is not None:
        layers.copy_(train_on.layers)


def start_layers(field: HostField, branches: LoraBranches, cache: PromptCache, dataset: ConceptDataset) -> Tensor:
    """Return the base's text stream at [v] while [v] still means the class word, at t = 0.5, [L, hidden]."""
    item = dataset.items[0]
    y = cache[item.texts.target]
    noise = torch.randn(item.latents[:1].shape, generator=torch.Generator().manual_seed(0)).to(field.device)
    t = torch.full((1,), 0.5, device=field.device)
    with branches.use(None):
        return observe_layers(field.text_inputs, y.marks, lambda: field.velocity(noise, t, cat([y])))
