"""Puts together what takes part in a run: private copies of the user's models, the branches on them, the prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from comfy import model_management
from comfy.sd import CLIP
from torch import Tensor

from ..branches import Branches
from ..concept import ConceptEmbedding, observe_layers
from ..dataset import ConceptDataset
from ..field import cat
from ..files import Adapter
from ..masks import mask_prompts
from ..recipes import EXTRACTOR, LEARNER, needs, needs_mask
from ..texts import class_prompt
from ..trainee import Speaker, Trainee
from .conditioning import HostConditioner, PromptCache, TokenEncoder, token_encoder
from .embeddings import word_vectors
from .field import HostField, check_model, private_field
from .job import Job
from .rescue import LESS_AT_ONCE, SMALLER_ENCODERS, SMALLER_WEIGHTS, clearly


@dataclass(frozen=True)
class Assembly:
    """What takes part in a run, on a private copy.

    Attributes:
        trainee: for the loop.
        field: the copy, and `trainee.model`.
        branches: the LoRAs on it.
        encoder: of a trained token, where there is one.
    """

    trainee: Trainee
    field: HostField
    branches: Branches
    encoder: TokenEncoder | None = None

    @torch.no_grad()
    def load(self) -> None:
        """Loads all private copies in one call, in which the host unloads none of them for another.

        To be called whenever it may have unloaded one, as it does to load a VAE.

        Raises:
            OutOfMemory: they do not fit together.
        """
        parts = [part for part in (self.field, self.encoder) if part is not None]
        with clearly("loading what takes part in training", LESS_AT_ONCE if self.encoder else SMALLER_WEIGHTS):
            model_management.load_models_gpu([part.patcher for part in parts], force_full_load=True)


@contextmanager
def assembled(
    model,
    clip: CLIP,
    dataset: ConceptDataset,
    job: Job,
    say: Callable[[str], None],
    extractor: Adapter | None = None,
    texts: Sequence[str] = (),
) -> Iterator[Assembly]:
    """Everything that a job needs, its prompts encoded; gone on leaving, and the user's models as they were.

    To be entered inside `copies.trainable_world`.

    Args:
        model: the user's MODEL.
        clip: CLIP that belongs to it.
        dataset: the references.
        job: what to train.
        say: told what is being done.
        extractor: θ1, frozen.
        texts: prompts to know beside those that the dataset and drift ask for.

    Raises:
        ValueError: model, CLIP and dataset do not fit together; before anything is computed.
    """
    check_model(model)
    _check_dataset(model, dataset)
    with ExitStack() as stack:
        say("reading the captions")
        with clearly("reading the captions", SMALLER_ENCODERS):
            caches = _caches(stack, model, clip, dataset, job, extractor, texts)
        _check_conditioning(model, caches[LEARNER][""])
        model_management.unload_all_models()
        trains_token = job.input_token and job.settings.embedding_lr > 0
        with clearly("copying the text encoders", SMALLER_ENCODERS):
            encoder = stack.enter_context(token_encoder(clip)) if trains_token else None
        for cache in caches.values():
            cache.close()
        say("copying the model")
        with clearly("copying the model", SMALLER_WEIGHTS):
            field = stack.enter_context(private_field(model, job.precision))
        branches = Branches(field.module)
        stack.callback(branches.remove)
        trainee = _trainee(field, branches, caches, encoder, dataset, job, extractor)
        made = Assembly(trainee, field, branches, encoder)
        made.load()  # loading the model may have had the host unload the encoders
        yield made


def _caches(stack, model, clip, dataset, job, extractor, more: Sequence[str]) -> dict[str, PromptCache]:
    device = model.load_device
    start = dict(extractor.tokens) if extractor is not None else _start(clip, dataset.class_word, job)
    texts = ["", *more, *job.drift_prompts]
    if needs(job.recipe, text="class"):
        texts.append(class_prompt(dataset.class_word))
    if needs_mask(job.recipe) and dataset.kind == "instance":
        prompt, others = mask_prompts(dataset.class_word)
        texts += [prompt, *others]
    for item in dataset.items:
        texts += [item.texts.complete, item.texts.base, item.texts.target]
    caches = {LEARNER: PromptCache(clip, job.name, start, device)}
    if extractor is not None:
        caches[EXTRACTOR] = PromptCache(clip, extractor.name, dict(extractor.tokens), device, plain=caches[LEARNER])
    for cache in caches.values():
        stack.callback(cache.close)
        cache.prepare(texts)
    return caches


def _start(clip: CLIP, class_word: str, job: Job) -> dict[str, Tensor]:
    """The class word's vectors, apart by a thousandth, so that two concepts of a class can be told apart."""
    generator = torch.Generator().manual_seed((job.settings.seed + sum(job.name.encode())) % 2**64)
    vectors = word_vectors(clip, class_word)
    return {k: v + 1e-3 * v.std() * torch.randn(v.shape, generator=generator) for k, v in vectors.items()}


def _trainee(field: HostField, branches: Branches, caches, encoder, dataset, job: Job, extractor) -> Trainee:
    branches.add(LEARNER, job.lora, seed=job.settings.seed)
    if extractor is not None:
        branches.load(EXTRACTOR, extractor.lora)
    layers = None
    if job.layer_wise:
        layers = extractor.layers if extractor is not None and extractor.layers is not None else None
        if layers is None:
            layers = _start_layers(field, branches, caches[LEARNER], dataset)
    learned = ConceptEmbedding(caches[LEARNER].vectors, layers)
    trains = job.settings.embedding_lr > 0
    learned.to(field.device).freeze(tokens=not (trains and job.input_token), layers=not trains)
    speakers = {LEARNER: Speaker(learned, HostConditioner(caches[LEARNER], learned, encoder))}
    if extractor is not None:
        fixed = ConceptEmbedding(extractor.tokens, extractor.layers).to(field.device).freeze()
        speakers[EXTRACTOR] = Speaker(fixed, HostConditioner(caches[EXTRACTOR], fixed))
    return Trainee(field, branches, field.hooks, speakers)


def _start_layers(field: HostField, branches: Branches, cache: PromptCache, dataset: ConceptDataset) -> Tensor:
    """What the base's text stream holds at [v] while [v] still means the class word, at t = 0.5."""
    item = dataset.items[0]
    y = cache[item.texts.target]
    noise = torch.randn(item.latents[:1].shape, generator=torch.Generator().manual_seed(0)).to(field.device)
    t = torch.full((1,), 0.5, device=field.device)
    with branches.use(None):
        return observe_layers(field.text_blocks, y.marks, lambda: field.velocity(noise, t, cat([y])))


def _check_dataset(model, dataset: ConceptDataset) -> None:
    channels = model.model.latent_format.latent_channels
    for item in dataset.items:
        if item.latents.shape[1] != channels:
            raise ValueError(
                f"The dataset's latents have {item.latents.shape[1]} channels and the model takes {channels}. "
                "Build the dataset with the VAE that belongs to this model."
            )


def _check_conditioning(model, y) -> None:
    network = model.model.diffusion_model
    wanted = {"text": network.context_embedder.in_features, "pooled text": network.y_embedder.mlp[0].in_features}
    given = {"text": y.context.shape[-1], "pooled text": y.fields["pooled_output"].shape[-1]}
    if wanted != given:
        raise ValueError(
            f"The CLIP gives {given} and the model takes {wanted}. Connect the CLIP that belongs to this model."
        )
