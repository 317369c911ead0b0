"""A whole training run inside the host: from the user's MODEL and CLIP and a dataset to an adapter."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from comfy.sd import CLIP
from torch import Tensor

from ..dataset import ConceptDataset
from ..files import Adapter
from ..fitting import fitted, layers
from ..history import History, Step
from ..measure import WATCHED, DriftProbe, affordable
from ..pool import BATCH, draw_pool
from ..previews import Preview, PreviewProbe, preview_texts
from ..recipes import EXTRACTOR, LEARNER, needs, needs_mask, needs_pool, work
from ..training import Callbacks, train
from .about import about
from .assembly import Assembly, assembled
from .copies import trainable_world
from .embeddings import word_vectors
from .field import check_model
from .job import Inspection, Job, Listener, Steering, Wishes
from .masking import with_masks
from .planning import planned, timed
from .rescue import Rescue, clearly, dispensable, within_memory


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
    steering: Steering | None = None,
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
        steering: may end the run early, ask for samples, and take the adapter at any step.

    Raises:
        ValueError: model, CLIP, dataset and extractor do not fit together; before anything is computed.
        TrainingDiverged: see `training.train`.
        OutOfMemory: the device's memory is too small, for a step whatever is computed again; says what for. Drift and
            samples that do not fit are left out.
    """
    check_model(model)
    listed, dataset = dataset, dataset.by_content()
    targets = layers(job.lora.targets, job.recipe, dataset.kind)
    job = replace(job, lora=replace(job.lora, targets=targets), recipe=fitted(job.recipe, targets, dataset.kind))
    if job.drift_every and not job.drift_prompts:
        raise ValueError("drift_every is given and there are no prompts to measure drift on: give drift_prompts.")
    _check_extractor(clip, job, extractor)
    shown = preview_texts(job.sample_prompts, dataset.items[0].texts)
    texts = () if inspection is None else inspection.texts
    texts = (*texts, *(text for pair in shown for text in pair))
    wants_pool = needs_pool(job.recipe) or (inspection is not None and inspection.penalty is not None)
    texts = (*texts, *job.pool_prompts) if wants_pool else texts
    with (
        trainable_world(),
        _determinism(job.deterministic),
        assembled(model, clip, dataset, job, listener.say, extractor, texts) as assembly,
    ):
        trainee, field_ = assembly.trainee, assembly.field
        if inspection is None:  # which may look at other shapes
            field_.keep_positions(i.latents.shape[1:] for i in dataset.items)
        if needs_mask(job.recipe):
            listed = with_masks(trainee, listed, listener.say)
            dataset = listed.by_content()
            if any(i.mask is not None for i in dataset.items):
                listener.masks(listed)
            else:  # a mask of all is none, and needs fewer passes
                job = replace(job, recipe=replace(job.recipe, masked=False))
        items = tuple(replace(i, latents=field_.latents_in(i.latents)) for i in dataset.items)
        scaled = replace(dataset, items=items)
        pool = ()
        if wants_pool:
            asked = job.pool_prompts, job.pool_images, job.settings.seed
            paint = partial(draw_pool, trainee, scaled.items, *asked, listener.say)
            pool = within_memory("drawing the base's pictures", paint, 2 * BATCH)
        watch = _Watch(model, assembly, scaled, job, listener, steering or _Unsteered(), shown, inspection)
        history = watch.train(pool)
        adapter = watch.adapter(job.name, history)
    return Outcome(adapter, history, watch.traces)


class _Unsteered:
    def wishes(self) -> Wishes:
        return Wishes()

    def keep(self, step: Step, adapter) -> None:
        pass


class _Watch:
    """What surrounds the steps of a run: it measures, draws, tells and asks."""

    def __init__(self, model, assembly: Assembly, dataset, job: Job, listener: Listener, steering, shown, inspection):
        self._model, self._assembly, self._dataset, self._job = model, assembly, dataset, job
        self._listener, self._steering, self._inspection = listener, steering, inspection
        self.traces: dict[int, dict[str, Tensor]] = {}
        shape = tuple(dataset.items[0].latents.shape[1:])
        self._drift = None
        if job.drift_prompts:
            prompts, self._drift_every = _watched(job)
            self._job = replace(job, drift_prompts=prompts)
            listener.say("measuring the base")
            probe = partial(_probe, assembly.trainee, shape, prompts)
            self._drift = within_memory("measuring the base", probe, job.settings.batch)
        self._previews = PreviewProbe(assembly.trainee, shape, shown, job.settings.seed)

    def train(self, pool) -> History:
        trainee, job, inspection = self._assembly.trainee, self._job, self._inspection
        penalty = None
        if inspection is not None:
            inspection.look(0, trainee, self._assembly.field)
            penalty = inspection.penalty and inspection.penalty(trainee, pool)
        with clearly("trying a pass"):
            plan = planned(self._assembly, self._dataset, job)
            plan = timed(plan, self._assembly, self._dataset, job)
        logging.info("PureCC, %r: %s.", job.name, plan)
        self._listener.say(str(plan))
        settings = replace(job.settings, pass_limit=plan.pass_limit)
        rescue = Rescue(self._assembly.field, settings, lambda text: self._listener.note(text))
        callbacks = Callbacks(self._on_step, self.traces.__setitem__, job.trace_steps, rescue)
        return train(trainee, self._dataset, job.recipe, settings, callbacks, pool, penalty)

    def adapter(self, name: str, history: History) -> Adapter:
        """The adapter of this moment."""
        job = replace(self._job, name=name)
        tokens, layers = self._assembly.trainee.speakers[LEARNER].embedding.export()
        lora = self._assembly.branches.export(LEARNER)
        return Adapter(job.kind, name, lora, tokens, layers, about(self._model, self._dataset, job, history))

    def _on_step(self, history: History) -> bool:
        step, wishes, job = history.steps[-1], self._steering.wishes(), self._job
        ending = wishes.stop or step.number == job.settings.steps
        if self._drift is not None and (ending or step.number % self._drift_every == 0):
            with self._dispensable("drift was not measured", step):
                step = history.steps[-1] = replace(step, drift=self._drift())
        if self._inspection is not None and step.number in self._inspection.steps:
            self._inspection.look(step.number, self._assembly.trainee, self._assembly.field)
        due = job.sample_every and (ending or step.number % job.sample_every == 0)
        previews = None
        if due or wishes.sample:
            with self._dispensable("no samples were drawn", step):
                previews = self._drawn()
        self._listener.step(step, previews)
        if previews is not None:
            self._assembly.load()
        self._steering.keep(step, lambda name: self.adapter(name, history))
        return wishes.stop

    def _dispensable(self, what: str, step: Step):
        return dispensable(f"{what} at step {step.number}", self._listener.note)

    def _drawn(self) -> list[Preview]:
        out = self._assembly.field.latents_out
        return [replace(p, base=out(p.base), current=out(p.current)) for p in self._previews()]


def _probe(trainee, shape, prompts: Sequence[str], limit: int) -> DriftProbe:
    return DriftProbe(trainee, shape, prompts, WATCHED, limit=limit)


def _watched(job: Job) -> tuple[tuple[str, ...], int]:
    """What drift is measured on, and the steps between two measurements."""
    if job.drift_every:
        return job.drift_prompts, job.drift_every
    settings = job.settings
    step = work(job.recipe) * settings.batch * settings.accumulation
    count, every = affordable(len(job.drift_prompts), step, settings.steps)
    return job.drift_prompts[:count], every


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
