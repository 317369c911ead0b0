"""The training loop: passes, losses and an optimiser. Its caller sees to progress, charts and cancelling."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from ..method.recipe import EXTRACTOR, Recipe
from .batching import StepSamples, sample_step
from .branched_model import BranchedModel
from .dataset import Batches, ConceptDataset, ConceptItem
from .gradient import Done, TrainingDiverged, gradient, read, text_of, unscale
from .history import History, Step
from .optimiser import Optimiser
from .parallel import ALONE, Ranks, Verdict
from .settings import Settings
from .state import Keeper, KeepsNothing, LoopState, Moment

__all__ = ["Callbacks", "TrainingDiverged", "text_of", "train"]


def _raise(step: int, error: Exception) -> int | None:
    raise error


@dataclass(frozen=True)
class Callbacks:
    """Functions of the caller that training calls; an exception from any ends the training.

    Attributes:
        on_step: after every step, with the history up to it; True ends the training with this one.
        on_trace: tensors of a step (x_t, t, every velocity, λ, losses) for the steps in `trace_steps`.
        trace_steps: step numbers, from 1.
        on_error: from a step's number and the error that it failed with, gives the pass limit for running it again on
            the same samples, and for the steps after it; or raises.
        start: the state to go on from; None: the first step.
        keeper: keeps states.
        ranks: the processes that train together; every one gets the whole batch and takes its rows.
    """

    on_step: Callable[[History], bool | None] = lambda history: None
    on_trace: Callable[[int, dict[str, Tensor]], None] = lambda step, tensors: None
    trace_steps: frozenset[int] = frozenset()
    on_error: Callable[[int, Exception], int | None] = _raise
    start: LoopState | None = None
    keeper: Keeper = field(default_factory=KeepsNothing)
    ranks: Ranks = ALONE


def train(
    branched: BranchedModel,
    dataset: ConceptDataset,
    recipe: Recipe,
    settings: Settings,
    callbacks: Callbacks | None = None,
    pool: Sequence[ConceptItem] = (),
    pass_limit: int | None = None,
) -> History:
    """Train the LEARNER branch and its embedding in place.

    Args:
        branched: the model and its branches.
        dataset: the references.
        recipe: the method.
        settings: how long and how fast.
        callbacks: called after and during the steps.
        pool: images of the base model, their prompts as base texts, for a recipe with a "pool" or "anchor" pass.
        pass_limit: the most samples in one pass without gradient; None: all at once.

    Returns:
        The losses and times of every step, those before the state that training went on from too.

    Raises:
        ValueError: the recipe needs an extractor or a pool that is not there, or the state does not fit.
        TrainingDiverged: a loss or gradient was not finite; names the step and a likely cause.
    """
    if recipe.needs_extractor and EXTRACTOR not in branched.prompting:
        raise ValueError("This method needs an extractor: connect the output of Train Extractor.")
    if recipe.needs_pool and not pool:
        raise ValueError(
            "This method needs images of the base model, and there are none: set pool_images to at least 1."
        )
    callbacks = callbacks or Callbacks()
    generator = torch.Generator().manual_seed(settings.seed)
    streams = [Batches(items, settings.batch, generator) for items in (dataset.items, pool)[: 1 + recipe.needs_pool]]
    moment = Moment(Optimiser(branched, settings, recipe.averaged), generator, streams, pass_limit=pass_limit)
    if callbacks.start is not None:
        moment.restore(callbacks.start)
    callbacks.ranks.begin(moment.optimiser.parameters, len(moment.history.steps))
    moment.mark()
    try:
        _steps(
            moment,
            partial(sample_step, streams, recipe, settings, branched.field, generator),
            branched,
            recipe,
            settings,
            callbacks,
        )
    except BaseException as error:  # Cancel is not an Exception
        callbacks.keeper.broken(moment.capture, error)
        raise
    callbacks.keeper.ended(moment.capture)
    moment.optimiser.finish()
    return moment.history


def _steps(
    moment: Moment,
    sample: Callable[[], StepSamples],
    branched: BranchedModel,
    recipe: Recipe,
    settings: Settings,
    callbacks: Callbacks,
) -> None:
    """Run the steps that are left."""
    history, began = moment.history, time.perf_counter() - moment.history.seconds
    if not moment.observed and _observed(moment, settings, callbacks):
        return
    rows = callbacks.ranks.rows(settings.batch)
    for number in range(len(history.steps) + 1, settings.steps + 1):
        batch = [sample().rows(rows) for _ in range(settings.accumulation)]
        done, losses, scales = _gradients(moment, batch, branched, recipe, settings, callbacks)
        if number in callbacks.trace_steps:
            callbacks.on_trace(number, done.trace())
        lr = moment.optimiser.step(number - 1)
        history.steps.append(Step(number, losses, scales, lr, time.perf_counter() - began))
        moment.mark()
        if _observed(moment, settings, callbacks):
            return


def _gradients(
    moment: Moment,
    batch: Sequence[StepSamples],
    branched: BranchedModel,
    recipe: Recipe,
    settings: Settings,
    callbacks: Callbacks,
) -> tuple[Done, dict[str, float], tuple[float, ...]]:
    """Compute the gradients of a step, again with less at once where that fails; return its last batch and figures."""
    number, parameters, ranks = len(moment.history.steps) + 1, moment.optimiser.parameters, callbacks.ranks
    while True:
        moment.optimiser.clear()
        done, verdict = [], Verdict.GO
        try:
            done = [gradient(branched, recipe, samples, settings, moment.pass_limit) for samples in batch]
            unscale(parameters, branched.field.loss_scale)
        except Exception as error:
            verdict = Verdict.AGAIN
            with ranks.telling():
                moment.pass_limit = callbacks.on_error(number, error)
        if ranks.agree(verdict) is Verdict.AGAIN:
            moment.history.rescued = (*moment.history.rescued, number)
            continue
        ranks.average(parameters)
        norm = torch.nn.utils.clip_grad_norm_(parameters, settings.clip or math.inf)
        return done[-1], *read(done, norm, number, settings, ranks)


def _observed(moment: Moment, settings: Settings, callbacks: Callbacks) -> bool:
    """Let the caller look at the latest step, and return whether training ends with it."""
    moment.observed = False
    with callbacks.ranks.telling(), moment.optimiser.shown():
        ends = bool(callbacks.on_step(moment.history))
    ends = callbacks.ranks.agree(Verdict.STOP if ends else Verdict.GO) is Verdict.STOP
    moment.observed = True
    last = moment.history.steps[-1].number
    moment.history.stopped = ends and last < settings.steps
    if not ends and last < settings.steps:
        callbacks.keeper.after(moment.capture)
    return ends
