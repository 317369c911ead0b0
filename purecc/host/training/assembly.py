"""Build the models, branches and prompts of a run, on private copies of the user's models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain

import torch
from comfy import model_management
from comfy.sd import CLIP

from ...adapters.files import Adapter
from ...method.recipe import EXTRACTOR, LEARNER
from ...network.embedding import ConceptEmbedding
from ...network.lora import LoraBranches
from ...text.texts import class_prompt
from ...training.branched_model import BranchedModel, Prompting
from ...training.class_images import class_texts
from ...training.companions import companion_prompts
from ...training.dataset import ConceptDataset
from ...training.placing import OFF, every_text
from ...training.previews import preview_texts
from ..families import family_of
from ..messages import Phase
from ..models.carrying import Carried, carried_by, trains_token
from ..models.conditioning import HostConditioner, PromptCache
from ..models.field import HostField, check_model, private_field
from ..models.host_models import HostModels
from ..models.loading import Loader
from ..models.token_encoder import AnyEncoder, token_encoder
from .checks import check_conditioning, check_dataset
from .job import Job
from .listener import OnPhase
from .out_of_memory import LESS_AT_ONCE, SMALLER_ENCODERS, SMALLER_WEIGHTS, explain_out_of_memory
from .start import start_as, start_layers, start_tokens


@dataclass(frozen=True)
class Assembly:
    """The models, branches and prompts of a run, on private copies.

    Attributes:
        branched: for the loop.
        field: the copy, and `branched.field`.
        branches: the LoRAs on it.
        loader: of all private copies.
        prompts: every text as the user's CLIP encodes it before training.
        encoder: of a trained token, where there is one.
    """

    branched: BranchedModel
    field: HostField
    branches: LoraBranches
    loader: Loader
    prompts: PromptCache
    encoder: AnyEncoder | None = None

    @torch.no_grad()
    def load(self) -> None:
        """Load all private copies, and the LoRAs on them.

        To be called whenever the host may have unloaded one, as it does to load a VAE.

        Raises:
            OutOfMemory: they do not fit together.
        """
        with explain_out_of_memory(
            "loading what takes part in training", LESS_AT_ONCE if self.encoder else SMALLER_WEIGHTS
        ):
            self.loader.load()
            self.branches.place()

    def forget_search(self, dataset: ConceptDataset, job: Job) -> None:
        """Free the texts that were read to find what stands beside the concept, and that no step needs."""
        if dataset.lacks_masks:
            words = companion_prompts(dataset.class_word, job.references.companion)
            self.prompts.forget({*words.values()} - {*_of_steps(dataset, job)})

    def read(self, texts: Iterable[str]) -> None:
        """Encode further texts with the user's CLIP, and load the private copies again.

        Raises:
            ValueError: a text cannot be encoded.
            OutOfMemory: the text encoders or the copies do not fit.
        """
        try:
            with explain_out_of_memory("reading the prompts", SMALLER_ENCODERS):
                self.prompts.open()
                self.prompts.prepare(list(texts))
        finally:
            self.prompts.close()
            self.load()


@contextmanager
def assembled(
    models: HostModels,
    dataset: ConceptDataset,
    job: Job,
    on_phase: OnPhase,
    extractor: Adapter | None = None,
    train_on: Adapter | None = None,
) -> Iterator[Assembly]:
    """Yield everything that a job needs, its prompts encoded; free it on leaving and leave the user's models as before.

    To be entered inside `copies.trainable_world`.

    Args:
        models: the user's MODEL and CLIP.
        dataset: the references.
        job: what to train, resolved.
        on_phase: called with each phase.
        extractor: θ1, frozen.
        train_on: the adapter that the learner starts as; None: a fresh one.

    Raises:
        ValueError: model, CLIP, dataset and adapter do not fit together; before anything is computed.
    """
    check_model(models.model)
    check_dataset(models.model, dataset)
    with ExitStack() as stack:
        on_phase(Phase.READ_CAPTIONS)
        with explain_out_of_memory("reading the captions", SMALLER_ENCODERS):
            caches = _caches(stack, models, dataset, job, extractor, train_on)
        check_conditioning(models.model, caches[LEARNER][""])
        model_management.unload_all_models()
        encoder = None
        if _trains_token(models.clip, caches[LEARNER], job):
            on_phase(Phase.COPY_ENCODERS)
            with explain_out_of_memory("copying the text encoders", SMALLER_ENCODERS):
                encoder = stack.enter_context(token_encoder(models.clip))
        for cache in caches.values():
            cache.close()
        on_phase(Phase.COPY_MODEL)
        with explain_out_of_memory("copying the model", SMALLER_WEIGHTS):
            field = stack.enter_context(private_field(models.model, job.memory.precision))
        field.path = field.path.weighing(job.weighting)
        if encoder is not None and field.dtype == torch.bfloat16:
            encoder.multiply_in(field.dtype)
        branches = LoraBranches(field.module, field.family.layers, field.device)
        stack.callback(branches.remove)
        branched = _branched(field, branches, caches, encoder, dataset, job, extractor)
        if train_on is not None:
            start_as(branched, train_on)
        loader = Loader([part.patcher for part in (field, encoder) if part is not None])
        made = Assembly(branched, field, branches, loader, caches[LEARNER], encoder)
        made.load()  # loading the model may have had the host unload the encoders
        yield made


def _caches(
    stack: ExitStack,
    models: HostModels,
    dataset: ConceptDataset,
    job: Job,
    extractor: Adapter | None,
    train_on: Adapter | None,
) -> dict[str, PromptCache]:
    clip, device = models.clip, models.model.load_device
    first = train_on or extractor
    start = {} if first is None else dict(first.tokens)
    if carried_by(clip, job.embedding.concept_by, job.embedding.layer_wise, bool(start)) is Carried.WORD:
        start = {}
    elif not start:
        start = start_tokens(clip, dataset, job)
    fields = family_of(models.model).fields
    caches = {LEARNER: PromptCache(clip, job.name, start, device, fields)}
    if extractor is not None:
        tokens, plain = dict(extractor.tokens), caches[LEARNER]
        caches[EXTRACTOR] = PromptCache(clip, extractor.name, tokens, device, fields, plain)
    for cache in caches.values():
        stack.callback(cache.close)
        cache.prepare(_of_steps(dataset, job))
    return caches


def _trains_token(clip: CLIP, cache: PromptCache, job: Job) -> bool:
    if not cache.vectors or not job.embedding.input_token or job.settings.embedding_lr <= 0:
        return False
    return trains_token(clip, job.embedding.concept_by)


def _of_steps(dataset: ConceptDataset, job: Job) -> list[str]:
    """Return every text that the job is known to encode; what is looked for beside the concept is read if it is."""
    texts = ["", *job.watch.drift_prompts]
    texts += chain(*preview_texts(job.watch.sample_prompts, dataset.items[0].texts))
    if job.recipe.needs_pool:
        texts += job.pool.prompts
    if job.recipe.needs_text("class"):
        texts.append(class_prompt(dataset.class_word))
    if job.recipe.needs_class_images:
        texts += [text for t in class_texts(dataset, job.pool.captions) for text in (t.complete, t.base, t.target)]
        texts += [caption.other for caption in job.pool.captions]
    for item in dataset.items:
        placed = [] if job.references.places == OFF else every_text(item.texts)
        texts += [text for t in (item.texts, *placed) for text in (t.complete, t.base, t.target)]
    return texts


def _branched(
    field: HostField,
    branches: LoraBranches,
    caches: dict[str, PromptCache],
    encoder: AnyEncoder | None,
    dataset: ConceptDataset,
    job: Job,
    extractor: Adapter | None,
) -> BranchedModel:
    branches.add(LEARNER, job.lora, seed=job.settings.seed)
    if extractor is not None:
        branches.load(EXTRACTOR, extractor.lora)
    layers = None
    if job.embedding.layer_wise:
        layers = extractor.layers if extractor is not None and extractor.layers is not None else None
        if layers is None:
            layers = start_layers(field, branches, caches[LEARNER], dataset)
    learned = ConceptEmbedding(caches[LEARNER].vectors, layers)
    learned.to(field.device).freeze(tokens=encoder is None, layers=job.settings.embedding_lr <= 0)
    prompting = {LEARNER: Prompting(learned, HostConditioner(caches[LEARNER], learned, encoder))}
    if extractor is not None:
        fixed = ConceptEmbedding(extractor.tokens, extractor.layers).to(field.device).freeze()
        prompting[EXTRACTOR] = Prompting(fixed, HostConditioner(caches[EXTRACTOR], fixed))
    return BranchedModel(field, branches, field.hooks, prompting)
