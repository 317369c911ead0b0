"""Our own stages: what comes before the first step, and the steps of every configuration and shape on one copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from unittest import mock

import torch

from purecc_pack.purecc import recipes
from purecc_pack.purecc.branches import Branches
from purecc_pack.purecc.dataset import ConceptDataset, ConceptItem
from purecc_pack.purecc.host.assembly import Assembly, assembled
from purecc_pack.purecc.host.copies import trainable_world
from purecc_pack.purecc.host.job import Job
from purecc_pack.purecc.host.masking import with_masks
from purecc_pack.purecc.pool import draw_pool
from purecc_pack.purecc.trainee import Trainee
from purecc_pack.purecc.training import Callbacks, train
from speed import accuracy, clock, memory, stages
from speed.inside import inside
from speed.measured import OUT_OF_MEMORY, TOO_LITTLE, Measured, Shape, attempted
from speed.stages import Configuration
from speed.world import World

_PARTS = {"reading": "texts", "copying": "copy", "looking": "masks", "drawing": "pool"}
"""What a run says while it prepares, by first word."""


def measure(
    world: World,
    name: str,
    configurations: Mapping[str, Configuration],
    shapes: Sequence[Shape],
    wanted: Callable[[str, Shape], bool],
    whole: bool = True,
) -> Iterator[tuple[str, Shape, Measured]]:
    """The rows of a stage that are wanted, as (configuration, shape, run); and a step observed in each configuration.

    Masks and pool are made, and timed, at the smallest pictures; for larger ones random ones stand in, and `parts`
    leaves them out.

    Args:
        world: what is shared.
        name: of the stage.
        configurations: by name; they share a private copy, see `Configuration.base`.
        shapes: what steps are given.
        wanted: asked before each row.
        whole: whether masks and pool are made at all, and the parts of a step looked at.
    """
    parts, jobs = clock.Parts(world.device), {}
    for key, configuration in configurations.items():
        jobs[key] = stages.job(stages.STAGES[name], configuration, world.size)
    first = next(iter(configurations))
    with _prepared(world, configurations[first], jobs[first], parts, shapes) as assembly:
        common, made = dict(parts.seconds), None
        shapes = [s for s in shapes if any([wanted(key, s) for key in configurations])]
        for key in configurations if shapes else ():  # before a step changes the token
            _observation(world, name, key, configurations[key], assembly)
        for shape in shapes:
            dataset = world.built[shape.pixels].dataset
            for key, configuration in configurations.items():
                if not wanted(key, shape):
                    continue
                job = replace(jobs[key], settings=replace(jobs[key].settings, batch=shape.batch))
                if whole and shape.pixels == world.smallest:
                    made = made or _made(assembly, dataset, job, parts)
                    (chosen, pool), before = made, parts.seconds
                else:
                    chosen, pool, before = _with_halves(assembly, dataset), _random_pool(dataset, job), common
                before = {"latents": world.built[shape.pixels].seconds, **before}
                given = (name, configuration.base), chosen, job, pool, shape, before, whole
                with memory.capped(world.device, configuration.cap):
                    found = _steps(world, assembly, *given)
                if found.note and configuration.cap:
                    again = _steps(world, assembly, *given)
                    found = replace(again, note=f"{found.note} under the cap; these figures are without")
                yield key, shape, found


def _steps(
    world: World, assembly: Assembly, key: tuple, dataset, job: Job, pool, shape: Shape, before, looked: bool
) -> Measured:
    dtype = assembly.field.dtype
    try:
        plan, seconds = world.plan(assembly, dataset, job, (*key, shape.pixels))
    except TOO_LITTLE:
        return Measured([], parts=before, note=OUT_OF_MEMORY, dtype=dtype)
    loop = replace(job.settings, pass_limit=plan.pass_limit)

    def run(trainee: Trainee, count: int, finished: Callable) -> None:
        callbacks = Callbacks(on_step=lambda history: finished(history))
        train(trainee, dataset, job.recipe, replace(loop, steps=count), callbacks, pool)

    steps = clock.Steps(world.device, shape.warmup, shape.timed)
    work = partial(run, assembly.trainee, steps.total, lambda _: steps.finished())
    found = replace(attempted(steps, work, {**before, "plan": seconds}), dtype=dtype)
    if not found.note:
        details = inside(assembly.trainee, world.device, run) if looked else {}
        found = replace(found, details={"plan": str(plan), **details})
    return found


def accuracies(
    world: World, name: str, configurations: Mapping[str, Configuration], wanted: Callable[[str], bool]
) -> Iterator[tuple[str, torch.dtype, dict[str, float]]]:
    """(configuration, what it computed in, errors) of a step of a stage beside plain float32 on the same weights.

    See `accuracy.compare`.
    """
    direction = getattr(stages.STAGES[name].recipe, "direction", None)
    for key, configuration in configurations.items():
        if not wanted(key):
            continue
        plain = Configuration(stages.PLAIN, fp8=configuration.fp8)
        (found, dtype), (expected, _) = (
            _observation(world, name, k, c) for k, c in ((key, configuration), (str(plain.base), plain))
        )
        yield key, dtype, accuracy.compare(found, expected, direction)


def _observation(
    world: World, name: str, key: str, configuration: Configuration, assembly: Assembly | None = None
) -> tuple[accuracy.Observation, torch.dtype]:
    """A step in a configuration and what it computed in, on a fresh assembly; as it was seen before, if it was."""
    if (name, key) not in world.observed:
        job = stages.job(stages.STAGES[name], configuration, world.size)
        fresh = _prepared(world, configuration, job, clock.Parts(world.device))
        with fresh if assembly is None else nullcontext(assembly) as assembly:
            world.plan(assembly, world.dataset, job, (name, configuration.base, world.smallest))
            seen = _with_halves(assembly, world.dataset), job, _random_pool(world.dataset, job)
            world.observed[name, key] = accuracy.observe(assembly.trainee, *seen), assembly.field.dtype
    return world.observed[name, key]


@contextmanager
def _prepared(
    world: World, configuration: Configuration, job: Job, parts: clock.Parts, shapes: Sequence[Shape] = ()
) -> Iterator[Assembly]:
    """What a run needs but masks and pool, its parts timed; for the smallest pictures and those of these shapes."""
    plain_init = Branches.__init__

    def timed_init(self, module) -> None:  # copying ends and the adapters begin here
        parts.begin("adapters")
        plain_init(self, module)

    with ExitStack() as stack:
        theta1 = world.theta1 if recipes.needs(job.recipe) else None
        stack.enter_context(torch.inference_mode())
        stack.enter_context(trainable_world())
        model, clip = world.model(configuration), world.models.clip
        entered = assembled(model, clip, world.dataset, job, _told(parts), theta1, job.pool_prompts)
        with mock.patch.object(Branches, "__init__", timed_init):
            assembly = stack.enter_context(entered)
        configuration.check(assembly.field, world.size)
        pictures = [world.dataset, *(world.built[s.pixels].dataset for s in shapes)]
        assembly.field.keep_positions(i.latents.shape[1:] for dataset in pictures for i in dataset.items)
        parts.end()
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
