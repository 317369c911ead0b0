"""A whole training run inside the host: from the user's models and a dataset to an adapter."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor

from ...adapters.files import Adapter
from ...method.recipe import LEARNER
from ...training import parallel
from ...training.class_images import with_references
from ...training.dataset import ConceptDataset, ConceptItem
from ...training.history import History
from ...training.loop import Callbacks, TrainingDiverged, train
from ...training.state import KeepsNothing, LoopState
from ..families import family_of
from ..messages import Message, Phase
from ..models.carrying import INPUT_TOKEN, TRIGGER_WORD, Carried, carried_by, trains_token
from ..models.copies import trainable_world
from ..models.embeddings import trainable_text
from ..models.field import check_model
from ..models.host_models import HostModels
from .assembly import Assembly, assembled
from .checks import check_extractor, check_layer_wise, check_prompts, check_train_on
from .draw_pool import draw_class, draw_pool
from .drawn_cache import BaseDraws
from .find_masks import companion_note, with_masks
from .finite import check_images, check_settings, first_not_finite
from .fit_size import fitted
from .identity import base_hash, identify
from .job import Job
from .listener import Listener, Steering, Unsteered
from .metadata import about
from .observation import Observation
from .out_of_memory import OutOfMemoryRetry, explain_out_of_memory
from .place import placed
from .planning import give_way, planned, tell, timed
from .resuming import Resumer


@dataclass
class Outcome:
    """The results of a run.

    Attributes:
        adapter: LoRA, tokens, layer-wise vectors.
        history: of every step.
        traces: tensors of the traced steps, by step.
    """

    adapter: Adapter
    history: History
    traces: dict[int, dict[str, Tensor]] = field(default_factory=dict)


def customise(
    models: HostModels,
    dataset: ConceptDataset,
    job: Job,
    listener: Listener,
    extractor: Adapter | None = None,
    steering: Steering | None = None,
    resumer: Resumer | None = None,
) -> Outcome:
    """Train an extractor (stage 1) or an adapter (stage 2), as the job's recipe says.

    The user's models are read and never written: training happens on private copies, however it ends.

    Args:
        models: the user's MODEL and CLIP.
        dataset: the references.
        job: what to train.
        listener: told of progress.
        extractor: θ1, frozen; stage 2 starts from its embeddings.
        steering: may end the run early, ask for samples, and take the adapter at any step.
        resumer: keeps the states of the run, and goes on from one; None: neither.

    Raises:
        ValueError: model, CLIP, dataset and extractor do not fit together; before anything is computed.
        TrainingDiverged: see `loop.train`.
        OutOfMemory: the device's memory is too small, even with everything computed again that can be. Drift and
            samples that do not fit are left out.
    """
    with explain_out_of_memory("training"), prepared(models, dataset, job, listener, extractor, resumer) as session:
        outcome = session.train(listener, steering)
    if resumer is not None:
        resumer.finish(outcome.adapter)
    return outcome


@contextmanager
def prepared(
    models: HostModels,
    dataset: ConceptDataset,
    job: Job,
    listener: Listener,
    extractor: Adapter | None = None,
    resumer: Resumer | None = None,
) -> Iterator[Session]:
    """Yield a run just before its first step, and free its private copies on leaving; see `customise`."""
    check_model(models.model)
    job = job.resolve(dataset, models.model).of_all(parallel.ours())
    check_settings(job)
    check_prompts(job)
    check_images(dataset)
    check_extractor(models.clip, job.recipe, extractor, dataset.class_word)
    train_on = None if resumer is None else resumer.train_on
    if train_on is not None:
        check_train_on(models.clip, job.kind, train_on)
    first = train_on or extractor
    given = first is not None and bool(first.tokens)
    carried = carried_by(models.clip, job.embedding.concept_by, job.embedding.layer_wise, given)
    if job.embedding.layer_wise:
        check_layer_wise(models.model, models.clip)
    _tell_kind(models, job, carried, listener)
    ordered = dataset.by_content()
    with (
        trainable_world(),
        _determinism(job.memory.deterministic),
        assembled(models, ordered, job, listener.phase, extractor, train_on) as assembly,
    ):
        start = None
        base = base_hash(assembly.field) if resumer is not None or job.memory.cache else ""
        draws = BaseDraws(base, assembly) if job.memory.cache else None
        if resumer is not None:
            identity = identify(base, assembly.prompts.known.items(), dataset, job, extractor, train_on)
            start, total = resumer.begin(identity, job.settings.steps)
            job = replace(job, settings=replace(job.settings, steps=total))
        if start is not None:
            listener.resumed(start.seen, job.settings.steps)
        assembly.field.keep_positions(i.latents.shape[1:] for i in ordered.items)
        if job.recipe.needs_mask:
            masked = with_masks(assembly, dataset, job.references.companion, listener.phase, draws=draws)
            listener.masks(masked.dataset)
            if note := companion_note(masked):
                listener.note(note)
            ordered = fitted(assembly, dataset, masked, job, listener, draws).by_content()
            assembly.forget_search(dataset, job)
        items = tuple(replace(i, latents=assembly.field.latents_in(i.latents)) for i in ordered.items)
        scaled = replace(ordered, items=items)
        pool = draw_pool(assembly, scaled, job, listener.phase, draws) if job.recipe.needs_pool else ()
        class_images, latest = job.recipe.needs_class_images, job.recipe.latest
        sampled = scaled if class_images and not latest else placed(scaled, job, models.model, listener)
        if class_images:
            drawn = draw_class(assembly, scaled, job, listener.phase, draws)
            sampled = replace(drawn, items=with_references(drawn.items, sampled.items, latest)) if latest else drawn
        yield Session(models, assembly, scaled, sampled, job, pool, start, resumer)


@dataclass(frozen=True)
class Session:
    """A run just before its first step.

    Attributes:
        models: the user's.
        assembly: the private copies.
        dataset: the references in the order of their content, latents in the model's space, with their masks.
        sampled: what the steps sample: the same at their places, or images of the class.
        job: what to train, resolved.
        pool: images of the base, for a recipe that needs them.
        start: the state to go on from; None: the first step.
        resumer: keeps the states of the run; None: they are not kept.
    """

    models: HostModels
    assembly: Assembly
    dataset: ConceptDataset
    sampled: ConceptDataset
    job: Job
    pool: tuple[ConceptItem, ...]
    start: LoopState | None = None
    resumer: Resumer | None = None

    def train(self, listener: Listener, steering: Steering | None = None) -> Outcome:
        """Run the steps; see `customise`."""
        assembly, job, ranks = self.assembly, self.job, parallel.ours()
        own = job.of_one(ranks)
        traces: dict[int, dict[str, Tensor]] = {}
        observation = Observation(assembly, self.dataset, own, listener, steering or Unsteered(), self.adapter)
        listener.phase(Phase.TRY_PASS)
        with explain_out_of_memory("trying a pass"):
            plan = timed(planned(assembly, self.dataset, own), assembly, self.dataset, own)
        logging.info("PureCC, %r: %s.", job.name, plan)
        tell(plan, listener)
        retry = OutOfMemoryRetry(assembly.field, plan.pass_limit, listener.note, partial(give_way, assembly, listener))
        if self.start is not None and self.start.history.rescued:
            retry.reduce()
        keeper = self.resumer or KeepsNothing()
        traced = traces.__setitem__, own.watch.trace_steps
        callbacks = Callbacks(observation.after_step, *traced, retry, self.start, keeper, ranks)
        given = assembly.branched, self.sampled, job.recipe, job.settings, callbacks, self.pool
        try:
            history = train(*given, plan.pass_limit)
        except TrainingDiverged as error:
            cause = first_not_finite(assembly, self.pool) if error.step == 1 else None
            if cause is not None:
                raise TrainingDiverged(f"The loss is not a finite number at step 1. {cause}", 1) from error
            raise
        return Outcome(self.adapter(job.name, history), history, traces)

    def adapter(self, name: str, history: History) -> Adapter:
        """Return the adapter of this moment under a name."""
        tokens, layers = self.assembly.branched.prompting[LEARNER].embedding.export()
        lora = self.assembly.branches.export(LEARNER)
        carried = carried_by(self.models.clip, INPUT_TOKEN if tokens else TRIGGER_WORD)
        origin = None if self.resumer is None else self.resumer.origin
        metadata = about(self.models.model, self.dataset, self.job, history, name, carried, origin)
        return Adapter(self.job.kind, name, lora, tokens, layers, metadata)


def _tell_kind(models: HostModels, job: Job, carried: Carried, listener: Listener) -> None:
    """Tell a listener of what this kind of model does differently."""
    family = family_of(models.model)
    if not family.listed:
        listener.note(Message("note_unlisted_model", {"kind": family.name}))
    if carried is Carried.WORD:
        listener.note(Message("note_trigger_word", {"word": job.name}))
        return
    if carried is Carried.BY_APPLY:
        listener.note(Message("note_called_through_apply", {"name": job.name}))
    if not trainable_text(models.clip).of_clip and trains_token(models.clip, job.embedding.concept_by):
        gigabytes = round(sum(w.nbytes for w in models.clip.cond_stage_model.parameters()) / 1e9, 1)
        listener.note(Message("note_token_memory", {"gigabytes": gigabytes}))


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
