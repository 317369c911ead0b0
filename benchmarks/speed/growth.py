"""Measure how time and memory of a training grow on the embedded base: rows of results/growth.jsonl.

    COMFYUI_PATH=... python benchmarks/speed/growth.py [--only memory batch steps references second]
    COMFYUI_PATH=... python benchmarks/speed/growth.py --page          # results/growth.md and its plots

Every row is a run of its own with *anchored* as the node has it (its rules for places, companions and sizes, its pool
prompts), by the function that the nodes call, on one thread. Drift and samples are left out. Rows are written as they
are measured; the page shows the last of each.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "quality"), str(ROOT / "scripts")]

import pack  # noqa: E402

pack.load_pack()

import folder_paths  # noqa: E402
import kept  # noqa: E402
from making_sets import instance, named  # noqa: E402
from measuring import Budget  # noqa: E402
from methods import METHODS  # noqa: E402

from purecc_pack.purecc.host.data import image_tensors, references  # noqa: E402
from purecc_pack.purecc.host.models.host_models import HostModels  # noqa: E402
from purecc_pack.purecc.host.models.tiny import load_tiny_checkpoint  # noqa: E402
from purecc_pack.purecc.host.training.drawn_cache import DrawnCache  # noqa: E402
from purecc_pack.purecc.host.training.job import EmbeddingSpec, Job, MemorySpec, PoolSpec, ReferenceSpec  # noqa: E402
from purecc_pack.purecc.host.training.session import customise  # noqa: E402
from purecc_pack.purecc.network.lora import LoraSpec  # noqa: E402
from purecc_pack.purecc.text.captions import CaptionInput  # noqa: E402
from purecc_pack.purecc.text.concept import Concept  # noqa: E402
from purecc_pack.purecc.training.companions import words_tried  # noqa: E402
from purecc_pack.purecc.training.pool import POOL_PROMPTS  # noqa: E402
from purecc_pack.purecc.training.settings import Settings  # noqa: E402
from purecc_pack.tiny_world.scenes import SIZE, Scene, draw  # noqa: E402
from speed import growth_page  # noqa: E402
from speed.growth_watch import Watch  # noqa: E402

METHOD = METHODS["anchored-fit"]
ROWS = HERE / "results" / "growth.jsonl"
THING, OTHER = "umbrella", "boat"
SEEDS = (201, 202, 203, 204)
"""Of the references: five each, and no set of the quality benchmark has them."""
MEMORY_EVERY = 10


@dataclass(frozen=True)
class Sizes:
    """What is measured.

    Attributes:
        batches: samples a step.
        warmup: steps before those that are timed, for each batch.
        timed: steps whose median counts.
        steps: lengths of runs.
        references: numbers of references.
        memory: steps of the run whose memory is read.
        settled: the step from which memory should not grow.
        pool: images of the base.
        shown: references of all runs but those that grow in them.
    """

    batches: tuple[int, ...] = (1, 2, 4, 8)
    warmup: int = 3
    timed: int = 9
    steps: tuple[int, ...] = (25, 50, 100, 200)
    references: tuple[int, ...] = (2, 4, 8, 16)
    memory: int = 300
    settled: int = 50
    pool: int = 48
    shown: int = 5


def scenes(thing: str, count: int, seeds: Sequence[int] = SEEDS) -> list[Scene]:
    """Return what so many references of an individual show."""
    return [scene for seed in seeds for scene in instance(thing, seed)][:count]


@contextmanager
def fresh_cache() -> Iterator[Path]:
    """Keep what the base draws in an empty folder meanwhile; yield it."""
    before = folder_paths.get_user_directory()
    with tempfile.TemporaryDirectory(prefix="growth-") as folder:
        folder_paths.set_user_directory(folder)
        try:
            yield DrawnCache().folder
        finally:
            folder_paths.set_user_directory(before)


class Growth:
    """Measures, and hands each row to `note` as it is made."""

    def __init__(self, note: Callable[[dict], None], sizes: Sizes | None = None):
        self._note, self._sizes = note, sizes or Sizes()
        self._shown = scenes(THING, self._sizes.shown)
        model, clip, self._vae = load_tiny_checkpoint([])
        self._models = HostModels(model, clip)
        self._run(scenes(THING, 1), PoolSpec(1, POOL_PROMPTS), cache=False, steps=1)  # what a process does but once

    def memory(self) -> None:
        """Read the memory of a long run."""
        steps, settled = self._sizes.memory, self._sizes.settled
        with fresh_cache():
            watch = self._run(self._shown, watch=Watch(MEMORY_EVERY, (settled, steps)), steps=steps)
        self._write("memory", steps, settled=settled, resident=watch.resident, live=watch.live)

    def batch(self) -> None:
        """Measure a step of each batch: the median after a warm-up."""
        sizes = self._sizes
        with fresh_cache():
            for batch in sizes.batches:
                watch = self._run(self._shown, steps=sizes.warmup + sizes.timed, batch=batch)
                cpu, wall = map(statistics.median, zip(*watch.each[sizes.warmup :], strict=True))
                self._write("batch", batch, cpu=cpu, wall=wall)

    def steps(self) -> None:
        """Measure all steps of a run of each length."""
        with fresh_cache():
            for steps in self._sizes.steps:
                cpu, wall = map(sum, zip(*self._run(self._shown, steps=steps).each, strict=True))
                self._write("steps", steps, cpu=cpu, wall=wall)

    def references(self) -> None:
        """Measure what comes before the first step, by the number of references; nothing is kept on the disk."""
        for count in self._sizes.references:
            self._write("references", count, **self._run(scenes(THING, count), cache=False, steps=1).before)

    def second(self) -> None:
        """Measure what comes before the first step of a second concept, with the cache that others filled."""
        given, own = (PoolSpec(self._sizes.pool, prompts) for prompts in (POOL_PROMPTS, ()))
        same, other = scenes(THING, self._sizes.shown, SEEDS[1:]), scenes(OTHER, self._sizes.shown)
        runs = (self._shown, given), (self._shown, given), (same, given), (other, given), (other, own)
        with fresh_cache() as folder:
            for name, (shown, pool) in zip(growth_page.SECOND, runs, strict=True):
                known = set(folder.glob("*"))
                before = self._run(shown, pool, steps=1).before
                self._write("second", name, **before, drawn=len(set(folder.glob("*")) - known))

    def _write(self, what: str, at: int | str, **figures: Any) -> None:
        self._note({"what": what, "at": at, **figures, "made": kept.made()})

    def _run(
        self,
        shown: Sequence[Scene],
        pool: PoolSpec | None = None,
        cache: bool = True,
        watch: Watch | None = None,
        **loop: int,
    ) -> Watch:
        """Train on references and return what was seen; encoding them is the first part of a run."""
        gc.collect()
        pictures = [image_tensors.from_pil(draw(scene)) for scene in shown]
        captions, concept = CaptionInput(tuple(map(named, shown))), Concept(shown[0].thing, "instance")
        job = _job(pool or PoolSpec(self._sizes.pool, POOL_PROMPTS), cache, **loop)
        watch = watch or Watch()
        with torch.inference_mode():  # as the host calls a node
            watch.begin("encode")
            dataset = references.build(pictures, captions, concept, self._vae, image_tensors.Cropping(SIZE))
            watch.begin("check")
            customise(self._models, dataset, job, watch)
        return watch


def _job(pool: PoolSpec, cache: bool, **loop: int) -> Job:
    """Return the node's job at the rates that were measured for the embedded base."""
    rank, own = Budget.rank, METHOD.references
    settings: dict[str, Any] = {"batch": Budget.batch, "warmup": 10, **loop}
    return Job(
        "growth",
        METHOD.recipe,
        lora=LoraSpec(rank, float(rank), METHOD.target),
        settings=Settings(lr=METHOD.lr, embedding_lr=METHOD.embedding_lr, **settings),
        embedding=EmbeddingSpec(METHOD.input_token, METHOD.layer_wise),
        memory=MemorySpec(cache=cache),
        pool=pool,
        references=ReferenceSpec(own.places, words_tried(own.companion), own.size),
    )


PARTS: dict[str, Callable[[Growth], None]] = {
    "memory": Growth.memory,
    "batch": Growth.batch,
    "steps": Growth.steps,
    "references": Growth.references,
    "second": Growth.second,
}
"""In this order: what a process has done before hides growth of its memory."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is asked for, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--rows", type=Path, default=ROWS, help="where rows are kept; the page lies beside them")
    parser.add_argument("--page", action="store_true", help="write the page and its plots, measure nothing")
    options = parser.parse_args(arguments)
    if options.page:
        return growth_page.write(options.rows)

    def note(row: dict) -> None:
        with options.rows.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(row, flush=True)

    torch.set_num_threads(1)
    growth = Growth(note)
    for name in (name for name in PARTS if name in options.only):
        PARTS[name](growth)


if __name__ == "__main__":
    main()
