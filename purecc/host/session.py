"""A whole training run inside the host: from the user's MODEL and CLIP and a dataset to an adapter."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from comfy import model_management
from comfy.sd import CLIP
from torch import Tensor

from .. import sampling
from ..branches import Branches, LoraSpec
from ..concept import ConceptEmbedding, observe_layers
from ..dataset import ConceptDataset, ConceptItem
from ..field import cat
from ..files import Adapter
from ..masks import concept_mask
from ..measure import UNRELATED_PROMPTS, DriftProbe, guided
from ..recipes import BASE, EXTRACTOR, LEARNER, Recipe, needs, needs_mask, needs_pool
from ..texts import ConceptTexts, class_prompt
from ..training import Callbacks, History, Settings, Speaker, Step, Trainee, train
from .about import about
from .conditioning import HostConditioner, PromptCache, token_encoder
from .copies import trainable_world
from .embeddings import word_vectors
from .field import HostField, check_model, private_field

POOL_BATCH = 4
"""Pictures that the base draws at a time."""


@dataclass(frozen=True)
class Job:
    """What to train, beside the models and the pictures.

    Attributes:
        name: of the adapter; prompts call it `embedding:NAME`.
        recipe: the method.
        kind: "extractor" for stage 1, else "adapter".
        lora: shape of the learner.
        settings: of the loop.
        input_token: whether the vectors in CLIP-L and CLIP-G are trained.
        layer_wise: whether there is a vector per joint block (7), trained.
        precision: what the base computes in.
        checkpointing: less memory for more time.
        deterministic: the same seed gives the same adapter on CUDA too, somewhat slower.
        drift_every: steps between two measurements of drift; 0: none.
        drift_prompts: what drift is measured on.
        sample_every: steps between two sample pictures, where `decode` is given; 0: none.
        sample_prompt: of the samples; empty: the first complete text.
        pool_images: how many pictures the base draws for a recipe that needs a pool of them.
        pool_prompts: of these pictures, in turn; empty: the base texts of the references.
        trace_steps: steps whose tensors are kept.
    """

    name: str
    recipe: Recipe
    kind: str = "adapter"
    lora: LoraSpec = field(default_factory=LoraSpec)
    settings: Settings = field(default_factory=Settings)
    input_token: bool = True
    layer_wise: bool = True
    precision: str = "as loaded"
    checkpointing: bool = False
    deterministic: bool = False
    drift_every: int = 0
    drift_prompts: tuple[str, ...] = UNRELATED_PROMPTS
    sample_every: int = 0
    sample_prompt: str = ""
    pool_images: int = 20
    pool_prompts: tuple[str, ...] = ()
    trace_steps: frozenset[int] = frozenset()


class Listener(Protocol):
    """What a run tells its caller; an exception from it ends the run."""

    def say(self, text: str) -> None:
        """What is being done before the steps begin."""
        ...

    def step(self, step: Step, preview: Tensor | None) -> None:
        """A finished step, with a sample's latent [1, C, h, w] (the VAE's scale) when one was drawn."""
        ...


@dataclass
class Outcome:
    """What a run leaves.

    Attributes:
        adapter: LoRA, tokens, layer-wise vectors.
        history: of every step.
        traces: tensors of the traced steps, by step.
    """

    adapter: Adapter
    history: History
    traces: dict[int, dict[str, Tensor]] = field(default_factory=dict)


def customise(
    model, clip: CLIP, dataset: ConceptDataset, job: Job, listener: Listener, extractor: Adapter | None = None
) -> Outcome:
    """Trains an extractor (stage 1) or an adapter (stage 2), as the job's recipe says.

    The user's MODEL and CLIP are read and never written: training happens on private copies, whatever its end.

    Args:
        model: MODEL.
        clip: CLIP that belongs to it.
        dataset: the references.
        job: what to train.
        listener: told of progress.
        extractor: θ1, frozen; its embeddings are where stage 2 starts.

    Raises:
        ValueError: model, CLIP, dataset and extractor do not fit together; before anything is computed.
        TrainingDiverged: see `training.train`.
    """
    check_model(model)
    if job.drift_every and not job.drift_prompts:
        raise ValueError("Drift is to be measured and there are no prompts: give some in drift_prompts.")
    _check_dataset(model, dataset)
    _check_extractor(clip, job, extractor)
    with trainable_world(), _determinism(job.deterministic), ExitStack() as stack:
        listener.say("reading the captions")
        caches = _caches(stack, model, clip, dataset, job, extractor)
        _check_conditioning(model, caches[LEARNER][""])
        model_management.unload_all_models()
        trains_token = job.input_token and job.settings.embedding_lr > 0
        encoder = stack.enter_context(token_encoder(clip)) if trains_token else None
        for cache in caches.values():
            cache.close()
        listener.say("copying the model")
        field_ = stack.enter_context(private_field(model, job.precision, job.checkpointing))
        branches = Branches(field_.module)
        stack.callback(branches.remove)
        trainee = _trainee(field_, branches, caches, encoder, dataset, job, extractor)
        items = tuple(replace(i, latents=field_.latents_in(i.latents)) for i in dataset.items)
        scaled = replace(dataset, items=items)
        scaled = with_masks(trainee, scaled, listener) if needs_mask(job.recipe) else scaled
        pool = _pool(trainee, scaled, job, listener)
        history, traces = _train(trainee, scaled, job, listener, pool, field_)
        tokens, layers = trainee.speakers[LEARNER].embedding.export()
        lora = branches.export(LEARNER)
    adapter = Adapter(job.kind, job.name, lora, tokens, layers, about(model, dataset, job, history))
    return Outcome(adapter, history, traces)


def _caches(stack, model, clip, dataset, job, extractor) -> dict[str, PromptCache]:
    device = model.load_device
    start = dict(extractor.tokens) if extractor is not None else _start(clip, dataset.class_word, job)
    texts = ["", *job.drift_prompts * bool(job.drift_every), *([job.sample_prompt] if job.sample_prompt else [])]
    texts += job.pool_prompts * needs_pool(job.recipe)
    texts += [class_prompt(dataset.class_word)] * (needs_mask(job.recipe) and dataset.kind == "instance")
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


def _trainee(field_: HostField, branches: Branches, caches, encoder, dataset, job: Job, extractor) -> Trainee:
    branches.add(LEARNER, job.lora, seed=job.settings.seed)
    if extractor is not None:
        branches.load(EXTRACTOR, extractor.lora)
    layers = None
    if job.layer_wise:
        layers = extractor.layers if extractor is not None and extractor.layers is not None else None
        if layers is None:
            layers = _start_layers(field_, branches, caches[LEARNER], dataset)
    learned = ConceptEmbedding(caches[LEARNER].vectors, layers)
    trains = job.settings.embedding_lr > 0
    learned.to(field_.device).freeze(tokens=not (trains and job.input_token), layers=not trains)
    speakers = {LEARNER: Speaker(learned, HostConditioner(caches[LEARNER], learned, encoder))}
    if extractor is not None:
        fixed = ConceptEmbedding(extractor.tokens, extractor.layers).to(field_.device).freeze()
        speakers[EXTRACTOR] = Speaker(fixed, HostConditioner(caches[EXTRACTOR], fixed))
    return Trainee(field_, branches, field_.hooks, speakers)


def _start_layers(field_: HostField, branches: Branches, cache: PromptCache, dataset: ConceptDataset) -> Tensor:
    """What the base's text stream holds at [v] while [v] still means the class word, at t = 0.5."""
    item = dataset.items[0]
    y = cache[item.texts.target]
    noise = torch.randn(item.latents[:1].shape, generator=torch.Generator().manual_seed(0)).to(field_.device)
    t = torch.full((1,), 0.5, device=field_.device)
    with branches.use(None):
        return observe_layers(field_.text_blocks, y.marks, lambda: field_.velocity(noise, t, cat([y])))


def with_masks(trainee: Trainee, dataset: ConceptDataset, listener: Listener) -> ConceptDataset:
    """The dataset with a mask for every picture that has none; a style is everywhere, and gets none."""
    if dataset.kind == "style":
        return dataset
    prompt, items = class_prompt(dataset.class_word), []
    for k, item in enumerate(dataset.items, start=1):
        if item.mask is None:
            listener.say(f"looking for the {dataset.class_word} in picture {k} of {len(dataset.items)}")
            item = replace(item, mask=concept_mask(trainee, item.latents, prompt))
        items.append(item)
    return replace(dataset, items=tuple(items))


def _pool(trainee: Trainee, dataset: ConceptDataset, job: Job, listener: Listener) -> tuple[ConceptItem, ...]:
    """Pictures that the base itself draws, in the shapes of the references."""
    if not needs_pool(job.recipe):
        return ()
    generator = torch.Generator().manual_seed(job.settings.seed)
    t = sampling.times(20).to(trainee.model.device)
    items = dataset.items
    own = [replace(i.texts, base=p) for i, p in zip(itertools.cycle(items), job.pool_prompts)]
    texts = own or [i.texts for i in items]
    shapes = [tuple(i.latents.shape[1:]) for i in items]
    wanted: dict[tuple[int, ...], list[ConceptTexts]] = {}
    for k in range(job.pool_images):
        wanted.setdefault(shapes[k % len(shapes)], []).append(texts[k % len(texts)])
    out: list[ConceptItem] = []
    for shape, rows in wanted.items():
        for start in range(0, len(rows), POOL_BATCH):
            listener.say(f"drawing picture {len(out) + 1} of {job.pool_images} with the base")
            some = rows[start : start + POOL_BATCH]
            noise = torch.randn(len(some), *shape, generator=generator).to(trainee.model.device)
            drawn = sampling.sample(guided(trainee, BASE, [r.base for r in some], 4.0), noise, t).cpu()
            out += [ConceptItem(x, y, torch.zeros(0)) for x, y in zip(drawn.split(1), some, strict=True)]
    return tuple(out)


def _train(trainee, dataset, job: Job, listener: Listener, pool, field_: HostField):
    shape = tuple(dataset.items[0].latents.shape[1:])
    probe = None
    if job.drift_every:
        listener.say("measuring the base")
        probe = DriftProbe(trainee, shape, job.drift_prompts)
    drift: list[tuple[int, float]] = []
    traces: dict[int, dict[str, Tensor]] = {}
    prompt = job.sample_prompt or dataset.items[0].texts.complete

    def on_step(step: Step) -> None:
        last = step.number == job.settings.steps
        if probe is not None and (step.number % job.drift_every == 0 or last):
            drift.append((step.number, probe()))
        preview = None
        if job.sample_every and (step.number % job.sample_every == 0 or last):
            noise = torch.randn(1, *shape, generator=torch.Generator().manual_seed(job.settings.seed))
            t = sampling.times(20).to(field_.device)
            preview = sampling.sample(guided(trainee, LEARNER, [prompt], 4.0), noise.to(field_.device), t)
            preview = field_.latents_out(preview)
        listener.step(step, preview)
        if preview is not None:
            field_.return_to_device()

    callbacks = Callbacks(on_step, traces.__setitem__, job.trace_steps)
    history = train(trainee, dataset, job.recipe, job.settings, callbacks, pool)
    history.drift = drift
    return history, traces


def _check_dataset(model, dataset: ConceptDataset) -> None:
    channels = model.model.latent_format.latent_channels
    for item in dataset.items:
        if item.latents.shape[1] != channels:
            raise ValueError(
                f"The dataset's latents have {item.latents.shape[1]} channels and the model takes {channels}. "
                "Build the dataset with the VAE that belongs to this model."
            )


def _check_extractor(clip: CLIP, job: Job, extractor: Adapter | None) -> None:
    if needs(job.recipe, EXTRACTOR) and extractor is None:
        raise ValueError("Pure learning needs an extractor: connect the output of Train Extractor or Load Adapter.")
    if extractor is None:
        return
    if extractor.kind != "extractor":
        raise ValueError(
            f"{extractor.name!r} is an adapter, not an extractor. Connect what Train Extractor gave, or load its file."
        )
    widths = {k: v.shape[1] for k, v in word_vectors(clip, "a").items()}
    theirs = {k: v.shape[1] for k, v in extractor.tokens.items()}
    if widths != theirs:
        raise ValueError(
            f"The extractor's embeddings {theirs} do not fit the connected CLIP {widths}. "
            "Connect the CLIP that the extractor was trained with."
        )


def _check_conditioning(model, y) -> None:
    network = model.model.diffusion_model
    wanted = {"text": network.context_embedder.in_features, "pooled text": network.y_embedder.mlp[0].in_features}
    given = {"text": y.context.shape[-1], "pooled text": y.fields["pooled_output"].shape[-1]}
    if wanted != given:
        raise ValueError(
            f"The CLIP gives {given} and the model takes {wanted}. Connect the CLIP that belongs to this model."
        )


@contextmanager
def _determinism(wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
