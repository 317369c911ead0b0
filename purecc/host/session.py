"""A whole training run inside the host: from the user's MODEL and CLIP and a dataset to an adapter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from comfy.sd import CLIP
from torch import Tensor

from .. import sampling
from ..dataset import ConceptDataset
from ..files import Adapter
from ..measure import DriftProbe, guided
from ..pool import draw_pool
from ..recipes import EXTRACTOR, LEARNER, needs, needs_mask, needs_pool
from ..training import Callbacks, History, Step, train
from .about import about
from .assembly import Assembly, assembled
from .copies import trainable_world
from .embeddings import word_vectors
from .field import check_model
from .job import Inspection, Job, Listener
from .masking import with_masks


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
    model,
    clip: CLIP,
    dataset: ConceptDataset,
    job: Job,
    listener: Listener,
    extractor: Adapter | None = None,
    inspection: Inspection | None = None,
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
        inspection: a look inside.

    Raises:
        ValueError: model, CLIP, dataset and extractor do not fit together; before anything is computed.
        TrainingDiverged: see `training.train`.
    """
    check_model(model)
    if job.drift_every and not job.drift_prompts:
        raise ValueError("Drift is to be measured and there are no prompts: give some in drift_prompts.")
    _check_extractor(clip, job, extractor)
    texts = () if inspection is None else inspection.texts
    wants_pool = needs_pool(job.recipe) or (inspection is not None and inspection.penalty is not None)
    texts = (*texts, *job.pool_prompts) if wants_pool else texts
    with (
        trainable_world(),
        _determinism(job.deterministic),
        assembled(model, clip, dataset, job, listener.say, extractor, texts) as assembly,
    ):
        trainee, field_ = assembly.trainee, assembly.field
        if needs_mask(job.recipe):
            dataset = with_masks(trainee, dataset, listener.say)
            if any(i.mask is not None for i in dataset.items):
                listener.masks(dataset)
            else:  # a mask of all is none, and needs fewer passes
                job = replace(job, recipe=replace(job.recipe, masked=False))
        items = tuple(replace(i, latents=field_.latents_in(i.latents)) for i in dataset.items)
        scaled = replace(dataset, items=items)
        pool = ()
        if wants_pool:
            pool = draw_pool(trainee, scaled.items, job.pool_prompts, job.pool_images, job.settings.seed, listener.say)
        history, traces = _train(assembly, scaled, job, listener, pool, inspection)
        tokens, layers = trainee.speakers[LEARNER].embedding.export()
        lora = assembly.branches.export(LEARNER)
    adapter = Adapter(job.kind, job.name, lora, tokens, layers, about(model, dataset, job, history))
    return Outcome(adapter, history, traces)


def _train(
    assembly: Assembly, dataset: ConceptDataset, job: Job, listener: Listener, pool, inspection: Inspection | None
):
    trainee, field_ = assembly.trainee, assembly.field
    shape = tuple(dataset.items[0].latents.shape[1:])
    probe = None
    if job.drift_every:
        listener.say("measuring the base")
        probe = DriftProbe(trainee, shape, job.drift_prompts)
    drift: list[tuple[int, float]] = []
    traces: dict[int, dict[str, Tensor]] = {}
    penalty = None
    if inspection is not None:
        inspection.look(0, trainee, field_)
        penalty = inspection.penalty and inspection.penalty(trainee, pool)
    prompt = job.sample_prompt or dataset.items[0].texts.complete

    def on_step(step: Step) -> None:
        last = step.number == job.settings.steps
        if probe is not None and (step.number % job.drift_every == 0 or last):
            drift.append((step.number, probe()))
        if inspection is not None and step.number in inspection.steps:
            inspection.look(step.number, trainee, field_)
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
    history = train(trainee, dataset, job.recipe, job.settings, callbacks, pool, penalty)
    history.drift = drift
    return history, traces


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
