"""The training loop. It knows passes, losses and an optimiser; progress, charts and cancelling are its caller's."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from .dataset import ConceptDataset, ConceptItem, batches
from .draws import Draws, draw
from .history import History, Step
from .recipes import EXTRACTOR, LEARNER, Pass, Recipe, Samples, Terms, needs, needs_pool
from .settings import Settings
from .texts import ConceptTexts, class_prompt
from .trainee import Trainee


def _raise(step: int, error: Exception) -> Settings:
    raise error


@dataclass(frozen=True)
class Callbacks:
    """What the caller wants to hear; an exception from any ends the training.

    Attributes:
        on_step: after every step, with the history up to it; True ends the training with this one.
        on_trace: tensors of a step (x_t, t, every velocity, λ, losses) for the steps in `trace_steps`.
        trace_steps: step numbers, from 1.
        on_error: a step, by number, failed with an error: gives the settings to run it again with on the same draws,
            and the steps after it; or raises where there is no help.
    """

    on_step: Callable[[History], bool | None] = lambda history: None
    on_trace: Callable[[int, dict[str, Tensor]], None] = lambda step, tensors: None
    trace_steps: frozenset[int] = frozenset()
    on_error: Callable[[int, Exception], Settings] = _raise


class TrainingDiverged(RuntimeError):
    """The loss or a gradient stopped being a finite number."""


def text_of(texts: ConceptTexts, which: str) -> str:
    """The text that a pass is conditioned on."""
    if which == "empty":
        return ""
    if which == "class":
        return class_prompt(texts.class_word)
    return {"complete": texts.complete, "target": texts.target}.get(which, texts.base)


def train(
    trainee: Trainee,
    dataset: ConceptDataset,
    recipe: Recipe,
    settings: Settings,
    callbacks: Callbacks | None = None,
    pool: Sequence[ConceptItem] = (),
    penalty: Callable[[], Tensor] | None = None,
) -> History:
    """Trains the LEARNER branch and its embedding in place.

    Args:
        trainee: what takes part.
        dataset: the references.
        recipe: the method.
        settings: how long and how fast.
        callbacks: what to tell the caller.
        pool: pictures of the base's own, their prompts as base texts, for a recipe with a "pool" or "anchor" pass.
        penalty: added to the loss of every step, such as one on the weights.

    Returns:
        What happened at every step.

    Raises:
        ValueError: the recipe needs an extractor or a pool that is not there.
        TrainingDiverged: a loss or gradient was not finite; names the step and a likely cause.
    """
    if needs(recipe, EXTRACTOR) and EXTRACTOR not in trainee.speakers:
        raise ValueError("This method needs an extractor: connect the output of Train Extractor.")
    if needs_pool(recipe) and not pool:
        raise ValueError("This method needs pictures of the base's own, and there are none.")
    callbacks = callbacks or Callbacks()
    generator = torch.Generator().manual_seed(settings.seed)
    streams = [batches(items, settings.batch, generator) for items in (dataset.items, pool)[: 1 + needs_pool(recipe)]]
    drawn = partial(draw, streams, recipe, settings, trainee.model.device, generator)
    optimiser, scheduler, parameters = _optimiser(trainee, settings)
    history, began = History(), time.perf_counter()
    for number in range(1, settings.steps + 1):
        draws = [drawn() for _ in range(settings.accumulation)]
        while True:
            optimiser.zero_grad(set_to_none=True)
            try:
                done = [_gradient(trainee, recipe, drawn, settings, penalty) for drawn in draws]
                _unscale(parameters, trainee.model.loss_scale)
                norm = torch.nn.utils.clip_grad_norm_(parameters, settings.clip or math.inf)
                losses, scales = _read(done, norm, number, settings)
                break
            except Exception as error:
                settings = callbacks.on_error(number, error)
        if number in callbacks.trace_steps:
            callbacks.on_trace(number, done[-1].trace())
        optimiser.step()
        lr = optimiser.param_groups[0]["lr"]
        scheduler.step()
        history.steps.append(Step(number, losses, scales, lr, time.perf_counter() - began))
        if callbacks.on_step(history):
            history.stopped = number < settings.steps
            break
    optimiser.zero_grad(set_to_none=True)
    return history


@dataclass(frozen=True)
class _Done:
    """A batch whose gradient was computed; all of it on the device, where it may still be under way.

    Attributes:
        loss: what was minimised.
        terms: of the recipe.
        trace: its tensors.
    """

    loss: Tensor
    terms: Terms
    trace: Callable[[], dict[str, Tensor]]


def _gradient(
    trainee: Trainee, recipe: Recipe, drawn: Draws, settings: Settings, penalty: Callable[[], Tensor] | None
) -> _Done:
    v = _evaluate(trainee, recipe, drawn, settings)
    terms = recipe.terms(v, drawn.references, drawn.pool)
    loss = terms.total.mean()
    if penalty is not None:
        loss = loss + penalty()
    # Checkpointed blocks run again here, and must find the branch on that they ran with.
    with trainee.branches.use(LEARNER), trainee.hooks.use(trainee.speakers[LEARNER].embedding.layers):
        (loss * trainee.model.loss_scale / settings.accumulation).backward()
    v, terms = {p: value.detach() for p, value in v.items()}, Terms(terms.total.detach(), terms.parts)
    return _Done(loss.detach(), terms, lambda: _trace(drawn.references, v, terms.parts, terms.total))


def _unscale(parameters: Sequence[Tensor], scale: float) -> None:
    """Gradients of the loss itself, of which the backward pass computed so many times as much; see VelocityField."""
    if scale != 1:
        for gradient in (p.grad for p in parameters if p.grad is not None):
            gradient /= scale


def _read(
    done: Sequence[_Done], norm: Tensor, number: int, settings: Settings
) -> tuple[dict[str, float], tuple[float, ...]]:
    """Losses and scales of a step, see `Step`; read all at once, since every reading waits for the device.

    Raises:
        TrainingDiverged: a loss or the gradient's norm is not finite.
    """
    named = [{"total": batch.terms.total, **batch.terms.parts} for batch in done]
    scales = [parts["lambda"] for parts in named if "lambda" in parts]
    means = [value.mean() for parts in named for value in parts.values()]
    numbers = torch.cat([torch.stack([norm, *(batch.loss for batch in done), *means]), *scales]).tolist()
    norm, loss, numbers = numbers[0], numbers[1 : len(done) + 1], iter(numbers[len(done) + 1 :])
    for what, value in (("loss", sum(loss)), ("gradient", norm)):
        if not math.isfinite(value):
            raise TrainingDiverged(_why(number, settings, what))
    sums = dict.fromkeys(named[0], 0.0)
    for parts in named:
        for name in parts:
            sums[name] += next(numbers) / len(done)
    return sums, tuple(numbers)


def _evaluate(trainee: Trainee, recipe: Recipe, draws: Draws, settings: Settings) -> dict[Pass, Tensor]:
    """Every velocity of the recipe; passes of one branch, like gradient and like shape share one batch.

    A sample that two passes of a batch ask for with one text goes through it once. Batches without gradient come
    first, while nothing is kept yet for a backward pass.
    """
    groups: dict[tuple[str | None, bool, torch.Size], list[Pass]] = {}
    for p in recipe.passes:
        groups.setdefault((p.branch, p.grad, draws.of(p.text).x_t.shape[1:]), []).append(p)
    out: dict[Pass, Tensor] = {}
    for (branch, grad, _), members in sorted(groups.items(), key=lambda group: group[0][1]):
        asked: dict[Pass, list[tuple]] = {}
        rows: dict[tuple, tuple[Tensor, Tensor]] = {}
        for p in members:
            of = draws.of(p.text)
            texts = [text_of(known, p.text) for known in of.texts]
            asked[p] = list(zip(draws.sources(p.text), texts, strict=True))
            rows |= zip(asked[p], zip(of.x_t, of.t, strict=True), strict=True)
        x_t, t = (torch.stack(part) for part in zip(*rows.values(), strict=True))
        with torch.set_grad_enabled(grad):
            v = trainee.run(branch, x_t, t, [text for _, text in rows], None if grad else settings.pass_limit)
            each = dict(zip(rows, v, strict=True))
            out |= {p: torch.stack([each[row] for row in wanted]) for p, wanted in asked.items()}
    return out


def _optimiser(trainee: Trainee, settings: Settings):
    weights = trainee.branches.parameters(LEARNER)
    embedding = trainee.speakers[LEARNER].embedding
    groups = [{"params": weights, "lr": settings.lr, "weight_decay": settings.weight_decay}]
    vectors = embedding.trainable if settings.embedding_lr > 0 else []
    if vectors:
        groups.append({"params": vectors, "lr": settings.embedding_lr, "weight_decay": 0.0})
    make = partial(torch.optim.AdamW, groups, betas=(0.9, 0.999))
    try:
        optimiser = make(fused=True)
    except RuntimeError:  # a device without it
        optimiser = make()

    def factor(done: int) -> float:
        if done < settings.warmup:
            return (done + 1) / (settings.warmup + 1)
        if settings.schedule == "constant":
            return 1.0
        fraction = (done - settings.warmup) / max(1, settings.steps - settings.warmup)
        return 1.0 - fraction if settings.schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * fraction))

    return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, factor), [*weights, *vectors]


def _trace(samples: Samples, v: Mapping[Pass, Tensor], parts: Mapping[str, Tensor], total: Tensor) -> dict[str, Tensor]:
    named = {f"v.{p.branch or 'base'}.{p.text}": value for p, value in v.items()}
    tensors = {"x_t": samples.x_t, "t": samples.t, "target": samples.target, **named, "loss.total": total}
    tensors |= {f"loss.{k}" if k not in ("lambda", "cosine") else k: value for k, value in parts.items()}
    return {k: value.detach().float().cpu().contiguous().clone() for k, value in tensors.items()}


def _why(step: int, settings: Settings, what: str) -> str:
    return (
        f"The {what} is not a finite number at step {step} of {settings.steps}. The most likely cause is a learning "
        f"rate that is too high (lr {settings.lr:g}, embedding_lr {settings.embedding_lr:g}): try a third of it, add "
        "warmup, or use bfloat16 or float32 if the model runs in float16."
    )
