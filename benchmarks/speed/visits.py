"""In which order the rows are measured: first those that a target asks for, then the other stages, accuracy, shapes."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from comfy import model_management

from speed import counting, ours, stages, whole
from speed.log import Log
from speed.measured import Measured, Shape
from speed.world import World

WHO = ("ours", "released", "host", "whole", "accuracy")
CARD_STEPS = 10
"""Of a run on a small card, which is to show that it fits."""

_SAMPLER = "KSampler"
_BOTH = ", then ".join(whole.STAGES)
_RELEASED = "pure learning, as released"
_HOST = "plain LoRA, all blocks"
_FIRST = (_RELEASED, "as released, untouched base", "plain LoRA", _HOST)
"""The stages beside which others stand."""


@dataclass(frozen=True)
class Visit:
    """Rows with a common set-up.

    Attributes:
        who: one of WHO, or "card" for a run on a small card.
        shapes: what steps are given.
        stage: of ours.
        configurations: of ours, that share a private copy; of a whole run.
        first: whether it is the first of its kind, which alone makes what takes long beside the steps: profile, masks,
            pool, parts of a step, pictures.
    """

    who: str
    shapes: tuple[Shape, ...]
    stage: str = ""
    configurations: tuple[str, ...] = ()
    first: bool = True

    def __str__(self) -> str:
        """As it is told of."""
        shapes = ", ".join(f"{s.pixels} px x {s.batch}" for s in self.shapes)
        return ", ".join(filter(None, (self.who, self.stage, *self.configurations, shapes)))


def order(options: Namespace, shapes: Sequence[Shape]) -> Iterator[Visit]:
    """Everything asked for; the first shape is that of the targets."""
    first, rest = tuple(shapes[:1]), tuple(shapes[1:])
    fast, *others = [n for n in options.configurations if stages.CONFIGURATIONS[n].only is None] or [""]
    capped = [n for n in options.configurations if stages.CONFIGURATIONS[n].cap]
    later = [s for s in options.stages if s not in _FIRST]

    def mine(names: Sequence[str], shapes: tuple[Shape, ...], again: bool = False) -> Iterator[Visit]:
        for stage in names:
            chosen = stages.configurations(stage, options.configurations)
            chosen = [n for n in chosen if not (again and chosen[n].cap)]  # whose targets are at the first shape
            for _, group in groupby(chosen, lambda n: stages.CONFIGURATIONS[n].base):
                yield Visit("ours", shapes, stage, tuple(group), first=not again)

    everything = [
        Visit("released", first),
        *mine([s for s in _FIRST if s in options.stages], first),
        Visit("host", first),
        *([Visit("whole", first, configurations=(fast,))] if fast else []),
        *mine(later, first),
        *(Visit("card", first, stages.LEAN[0], (n,)) for n in capped),
        *(Visit("accuracy", first, s, tuple(stages.configurations(s, options.configurations))) for s in options.stages),
    ]
    if rest:
        again = {s: mine([s], rest, again=True) for s in options.stages if stages.STAGES[s].everywhere}
        beside = {_RELEASED: Visit("released", rest, first=False), _HOST: Visit("host", rest, first=False)}
        everything += [v for s in again if s not in beside for v in again[s]]
        everything += [v for s, theirs in beside.items() for v in (*again.get(s, ()), theirs)]
    everything += [Visit("whole", first, configurations=(n,), first=False) for n in others]
    for visit in everything:
        if {"card": "whole"}.get(visit.who, visit.who) in options.who:
            yield visit


def rows(visit: Visit, world: World, log: Log, options: Namespace, out: Path) -> Iterator[tuple]:
    """The rows of a visit that are wanted, as (who, configuration and stage; shape; operations; run; accuracy)."""
    for who, configuration, stage, shape, steps, found, errors in _found(visit, world, log, options, out):
        if who == "sampler":
            operations = steps * 2 * counting.pass_flops(world.size, shape.pixels, gradient=False)
        else:
            each = [stages.STAGES[name] for name in stage.split(", then ")]
            operations = steps * sum(counting.step_flops(s, world.size, shape.pixels, shape.batch) for s in each)
        yield {"who": who, "configuration": configuration, "stage": stage}, shape, operations, found, errors


def _found(visit: Visit, world: World, log: Log, options: Namespace, out: Path) -> Iterator[tuple]:
    shape, chosen = visit.shapes[0], {name: stages.CONFIGURATIONS[name] for name in visit.configurations}
    if visit.who == "released":
        from speed import released_rows  # needs diffusers

        if log.wants("released", _RELEASED, visit.shapes, ("passes apart", "passes joined")):
            model_management.unload_all_models()
            table = out.with_name(f"{out.stem}-profile.txt") if visit.first else None
            wanted = log.asked("released", _RELEASED)
            for settings, at, found in released_rows.measure(world.size, world.device, visit.shapes, wanted, table):
                yield "released", settings, _RELEASED, at, 1, found, None
    elif visit.who == "host":
        from speed import host_node  # needs more of the host than training does

        names = list(host_node.SETTINGS) if visit.first else log.fastest("host", host_node.SETTINGS)
        if log.wants("host", _HOST, visit.shapes, names):
            for settings, at, found in host_node.measure(world, visit.shapes, names, log.asked("host", _HOST)):
                yield "host", settings, _HOST, at, 1, found, None
    elif visit.who == "ours" and log.wants("ours", visit.stage, visit.shapes, chosen):
        wanted = log.asked("ours", visit.stage)
        for name, at, found in ours.measure(world, visit.stage, chosen, visit.shapes, wanted, visit.first):
            yield "ours", name, visit.stage, at, 1, found, None
    elif visit.who == "accuracy":
        wanted = log.asked("accuracy", visit.stage)
        for name, dtype, errors in ours.accuracies(world, visit.stage, chosen, lambda name: wanted(name, shape)):
            yield "accuracy", name, visit.stage, shape, 1, Measured([], dtype=dtype), errors
    elif visit.who == "whole" and log.wants("whole", _BOTH, visit.shapes, chosen):
        sampling = whole.Sampling(world, shape.pixels)
        if visit.first:
            yield "sampler", "before training", _SAMPLER, _one(shape), whole.SAMPLING_STEPS, sampling(), None
        for name, configuration in chosen.items():
            found = whole.train(world, whole.STAGES, configuration, shape, options.whole_steps, None)
            yield "whole", name, _BOTH, shape, options.whole_steps, found, None
        if visit.first:
            yield "sampler", "after training", _SAMPLER, _one(shape), whole.SAMPLING_STEPS, sampling(), None
    elif visit.who == "card" and log.wants("whole", visit.stage, visit.shapes, chosen):
        steps = min(CARD_STEPS, options.whole_steps)
        for name, configuration in chosen.items():
            found = whole.train(world, [visit.stage], configuration, shape, steps, world.theta1)
            yield "whole", name, visit.stage, shape, steps, found, None


def _one(shape: Shape) -> Shape:
    return Shape(shape.pixels, 1, shape.warmup, shape.timed)
