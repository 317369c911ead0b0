"""Generate the images of the base model that a recipe trains on, or take them from the cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from torch import Tensor

from ...text.texts import class_prompt
from ...training import pool
from ...training.class_images import apart, class_items
from ...training.dataset import ConceptDataset, ConceptItem
from ...training.pool import BATCH, CFG, generate_pool, plan_pool, pool_items
from ..messages import Phase
from .assembly import Assembly
from .drawn_cache import BaseDraws
from .finite import require_finite
from .job import Job
from .listener import OnPhase
from .out_of_memory import halve_until_it_fits


def draw_pool(
    assembly: Assembly, dataset: ConceptDataset, job: Job, on_phase: OnPhase, draws: BaseDraws | None
) -> tuple[ConceptItem, ...]:
    """Return the images of the base model that a recipe needs; see `generate_pool`.

    Args:
        assembly: the private copies.
        dataset: the references, in the model's space.
        job: what to train, resolved.
        on_phase: told of every batch.
        draws: keeps the images for later runs; None: they are not kept.

    Raises:
        ValueError: an image is not finite.
        OutOfMemory: the device's memory is too small.
    """
    return drawn(assembly, dataset.items, (job.pool.prompts, job.pool.images, job.settings.seed), on_phase, draws)


def draw_class(
    assembly: Assembly, dataset: ConceptDataset, job: Job, on_phase: OnPhase, draws: BaseDraws | None
) -> ConceptDataset:
    """Return images of the class that the base model generates, in place of the references; see `class_items`.

    Those that show another thing have a mask that leaves it out. Its arguments are those of `draw_pool`.

    Raises:
        ValueError: an image is not finite.
        OutOfMemory: the device's memory is too small.
    """
    captions = job.pool.captions
    items = class_items(dataset, captions)
    others = {item.texts.target: caption.other for item, caption in zip(items, captions, strict=True)}
    asked = (), len(items), job.settings.seed + 1  # other noise than the pool's
    own = class_prompt(dataset.class_word)

    def marked(item: ConceptItem) -> ConceptItem:
        other, mask = others[item.texts.target], None
        if other:
            find = partial(apart, assembly.branched, item, (own, other))
            mask = halve_until_it_fits(f"telling the {dataset.class_word} from {other}", find, 2 * BATCH)
            mask = require_finite(assembly, "an image of the class", mask)
        return replace(item, mask=mask, drawn=True)

    return replace(dataset, items=tuple(map(marked, drawn(assembly, items, asked, on_phase, draws))))


def drawn(
    assembly: Assembly,
    items: Sequence[ConceptItem],
    asked: tuple[tuple[str, ...], int, int],
    on_phase: OnPhase,
    draws: BaseDraws | None,
) -> tuple[ConceptItem, ...]:
    """Return images of the base in the shapes of these items; see `draw_pool`.

    Args:
        assembly: the private copies.
        items: give the images their shapes in turn.
        asked: their prompts, their number and their seed.
        on_phase: told of every batch.
        draws: keeps the images for later runs; None: they are not kept.
    """

    def on_image(number: int, count: int) -> None:
        on_phase(Phase.SAMPLE_POOL, number=number, count=count)

    prompts, images, seed = asked
    generate = partial(generate_pool, assembly.branched, items, *asked, on_image)
    attempt = partial(halve_until_it_fits, "generating images of the base model", generate, 2 * BATCH)

    def draw() -> dict[str, Tensor]:
        latents = [i.latents for i in attempt()]
        words = "image {} of the pool"
        return {f"{k:06}": require_finite(assembly, words.format(k + 1), x) for k, x in enumerate(latents)}

    plan = plan_pool(items, prompts, images)
    texts = [text.base for rows in plan.values() for text in rows]
    of = {"what": "pool", "texts": texts, "seed": seed, "cfg": CFG, "steps": pool.STEPS}
    of["shapes"] = [[*shape, len(rows)] for shape, rows in plan.items()]
    found = draw() if draws is None else draws.recall([*texts, ""], of, draw)
    return pool_items(plan, [found[name] for name in sorted(found)])
