"""Our own stages: what comes before the first step, and the steps at every shape, on one private copy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace
from unittest import mock

import torch

from purecc_pack.purecc import recipes
from purecc_pack.purecc.branches import Branches
from purecc_pack.purecc.dataset import ConceptDataset, ConceptItem
from purecc_pack.purecc.files import Adapter
from purecc_pack.purecc.host import datasets
from purecc_pack.purecc.host.assembly import Assembly, assembled
from purecc_pack.purecc.host.copies import trainable_world
from purecc_pack.purecc.host.job import Job
from purecc_pack.purecc.host.masking import with_masks
from purecc_pack.purecc.host.planning import planned
from purecc_pack.purecc.host.session import customise
from purecc_pack.purecc.pool import draw_pool
from purecc_pack.purecc.training import Callbacks, train
from speed import accuracy, clock, stages
from speed.measured import Measured, Shape, attempted
from speed.models import Models
from speed.sizes import Size
from speed.stages import PLAIN, Configuration, Stage

_PARTS = {"reading": "texts", "copying": "copy", "looking": "masks", "drawing": "pool"}
"""What a run says while it prepares, by first word."""


@dataclass(frozen=True)
class References:
    """Random pictures as a dataset of the pack.

    Attributes:
        dataset: as Concept Dataset makes it, without masks.
        seconds: that this took; it is the VAE's work.
    """

    dataset: ConceptDataset
    seconds: float


def references(models: Models, pixels: int) -> References:
    """The references at a size."""
    generator = torch.Generator().manual_seed(pixels)
    pictures = [torch.rand(1, pixels, pixels, 3, generator=generator) for _ in stages.CAPTIONS]
    parts = clock.Parts(models.model.load_device)
    parts.begin("latents")
    with torch.inference_mode():
        dataset = datasets.build(pictures, stages.CAPTIONS, stages.CLASS_WORD, "instance", models.vae, pixels)
    parts.end()
    return References(dataset, parts.seconds["latents"])


def extractor(models: Models, dataset: ConceptDataset, size: Size) -> Adapter:
    """θ1 as one step of stage 1 leaves it: how long a step of stage 2 takes does not depend on its values."""
    job = stages.job(stages.STAGES["extractor"], Configuration(), size, steps=1)
    listener = SimpleNamespace(say=lambda text: None, step=lambda step, previews: None)
    with torch.inference_mode():
        return customise(models.model, models.clip, dataset, job, listener).adapter


def observed_plainly(models: Models, dataset: ConceptDataset, stage: Stage, size: Size, theta1: Adapter | None):
    """A step of a stage in plain float32, for `measure` to compare with."""
    job = stages.job(stage, PLAIN, size)
    with _prepared(models, dataset, job, theta1, clock.Parts(models.model.load_device)) as assembly:
        return accuracy.observe(assembly.trainee, _with_halves(assembly, dataset), job, _random_pool(dataset, job))


def measure(
    models: Models,
    built: Mapping[int, References],
    stage: Stage,
    configuration: Configuration,
    size: Size,
    shapes: Sequence[Shape],
    theta1: Adapter | None,
    plain: accuracy.Observation | None,
) -> Iterator[tuple[Shape, Measured, dict[str, float] | None]]:
    """Every shape of a stage in a configuration, with its accuracy.

    Masks and pool are made, and timed, at the smallest pictures; for larger ones random ones stand in, and `parts`
    leaves them out.
    """
    device = models.model.load_device
    parts, smallest = clock.Parts(device), min(built)
    job = stages.job(stage, configuration, size)
    with _prepared(models, built[smallest].dataset, job, theta1, parts) as assembly:
        errors = None
        if plain is not None:
            dataset = built[smallest].dataset
            halves, pool = _with_halves(assembly, dataset), _random_pool(dataset, job)
            direction = getattr(stage.recipe, "direction", None)
            errors = accuracy.compare(accuracy.observe(assembly.trainee, halves, job, pool), plain, direction)
        common = dict(parts.seconds)
        made = _made(assembly, built[smallest].dataset, job, parts)
        for shape in shapes:
            dataset = built[shape.pixels].dataset
            if shape.pixels == smallest:
                (chosen, pool), before = made, parts.seconds
            else:
                chosen, pool, before = _with_halves(assembly, dataset), _random_pool(dataset, job), common
            steps = clock.Steps(device, shape.warmup, shape.timed)
            settings = replace(job.settings, steps=steps.total, batch=shape.batch)
            plan = planned(assembly, dataset, replace(job, settings=settings))
            settings = replace(settings, pass_limit=plan.pass_limit)
            callbacks = Callbacks(on_step=lambda _, steps=steps: steps.finished())
            run = (assembly.trainee, chosen, job.recipe, settings, callbacks, pool)
            before = {"latents": built[shape.pixels].seconds, **before}
            yield shape, attempted(steps, lambda run=run: train(*run), before), errors


@contextmanager
def _prepared(
    models: Models, dataset: ConceptDataset, job: Job, theta1: Adapter | None, parts: clock.Parts
) -> Iterator[Assembly]:
    """What a run needs but masks and pool, its parts timed."""
    plain_init = Branches.__init__

    def timed_init(self, module) -> None:  # copying ends and the adapters begin here
        parts.begin("adapters")
        plain_init(self, module)

    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        stack.enter_context(trainable_world())
        needed = theta1 if recipes.needs(job.recipe) else None
        entered = assembled(models.model, models.clip, dataset, job, _told(parts), needed, job.pool_prompts)
        with mock.patch.object(Branches, "__init__", timed_init):
            assembly = stack.enter_context(entered)
        parts.end()
        planned(assembly, dataset, job)
        yield assembly


def _made(assembly: Assembly, dataset: ConceptDataset, job: Job, parts: clock.Parts):
    """(references, pool) as a run has them at its first step."""
    say = _told(parts)
    if recipes.needs_mask(job.recipe):
        dataset = with_masks(assembly.trainee, dataset, say)
    dataset, pool = _scaled(assembly, dataset), ()
    if recipes.needs_pool(job.recipe):
        pool = draw_pool(assembly.trainee, dataset.items, job.pool_prompts, job.pool_images, 0, say)
    parts.end()
    return dataset, pool


def _told(parts: clock.Parts):
    return lambda text: parts.begin(_PARTS.get(text.split()[0], text))


def _scaled(assembly: Assembly, dataset: ConceptDataset) -> ConceptDataset:
    items = tuple(replace(i, latents=assembly.field.latents_in(i.latents)) for i in dataset.items)
    return replace(dataset, items=items)


def _with_halves(assembly: Assembly, dataset: ConceptDataset) -> ConceptDataset:
    """The references in the model's space, the left half of each being the concept."""
    scaled = _scaled(assembly, dataset)
    masks = [torch.zeros_like(i.latents[:, :1]) for i in scaled.items]
    for mask in masks:
        mask[..., : mask.shape[-1] // 2] = 1
    items = tuple(replace(i, mask=mask) for i, mask in zip(scaled.items, masks, strict=True))
    return replace(scaled, items=items)


def _random_pool(dataset: ConceptDataset, job: Job) -> tuple[ConceptItem, ...]:
    """Noise with the prompts of the pool."""
    generator = torch.Generator().manual_seed(1)
    first = dataset.items[0]
    shape = (1, *first.latents.shape[1:])
    return tuple(
        ConceptItem(torch.randn(shape, generator=generator), replace(first.texts, base=prompt), first.image)
        for prompt in job.pool_prompts
    )
