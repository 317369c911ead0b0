"""The gradient of a batch: the passes of a recipe, its losses, and what is read of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..method.recipe import LEARNER, Pass, Recipe, Samples, Terms
from ..text.texts import ConceptTexts, class_prompt
from .batching import StepSamples, weighted
from .branched_model import BranchedModel
from .parallel import ALONE, Ranks
from .settings import Settings


class TrainingDiverged(RuntimeError):
    """The loss or a gradient stopped being a finite number.

    Attributes:
        step: the step at which it did, from 1.
    """

    def __init__(self, message: str, step: int = 0):
        super().__init__(message)
        self.step = step


def text_of(texts: ConceptTexts, which: str) -> str:
    """Return the text that a pass is conditioned on."""
    if which == "empty":
        return ""
    if which == "class":
        return class_prompt(texts.class_word)
    return {"complete": texts.complete, "target": texts.target}.get(which, texts.base)


@dataclass(frozen=True)
class Done:
    """A batch whose gradient was computed; its tensors are on the device, which may still be at work.

    Attributes:
        terms: of the recipe, detached.
        trace: gives the tensors of `Callbacks.on_trace`.
    """

    terms: Terms
    trace: Callable[[], dict[str, Tensor]]


def gradient(
    branched: BranchedModel, recipe: Recipe, samples: StepSamples, settings: Settings, pass_limit: int | None
) -> Done:
    """Add the gradient of a batch to the learner's weights.

    Args:
        branched: the model and its branches.
        recipe: the method.
        samples: of the batch.
        settings: how many batches make a step.
        pass_limit: the most samples in one pass without gradient; None: all at once.
    """
    v = _evaluate(branched, recipe, samples, pass_limit)
    terms = recipe.terms(v, samples.references, samples.pool)
    loss = terms.total.mean()
    # Checkpointed blocks run again here, and must find the branch on that they ran with.
    with branched.branches.use(LEARNER), branched.hooks.use(branched.prompting[LEARNER].embedding.layers):
        (loss * branched.field.loss_scale / settings.accumulation).backward()
    v, terms = {p: value.detach() for p, value in v.items()}, Terms(terms.total.detach(), terms.parts)
    return Done(terms, lambda: _trace(samples.references, v, terms.parts, terms.total))


def unscale(parameters: Sequence[Tensor], scale: float) -> None:
    """Divide gradients by the scale that the loss was multiplied by; see VelocityField."""
    if scale != 1:
        for gradient in (p.grad for p in parameters if p.grad is not None):
            gradient /= scale


def read(
    done: Sequence[Done], norm: Tensor, number: int, settings: Settings, ranks: Ranks = ALONE
) -> tuple[dict[str, float], tuple[float, ...]]:
    """Return losses and scales of a step, see `Step`; all are read at once, since every reading waits for the device.

    Raises:
        TrainingDiverged: a loss or the gradient's norm is not finite.
    """
    named = [{"total": batch.terms.total, **batch.terms.parts} for batch in done]
    scales = [parts["lambda"] for parts in named if "lambda" in parts]
    means = [value.mean() for parts in named for value in parts.values()]
    values = ranks.gather(torch.cat([torch.stack([norm, *means]), *scales])).tolist()
    own = len(values) // ranks.count
    of_ranks = [iter(values[k : k + own]) for k in range(0, len(values), own)]
    length = max(next(numbers) for numbers in of_ranks)  # the same for all
    sums = dict.fromkeys(named[0], 0.0)
    for parts in named:
        for name in parts:
            sums[name] += sum(next(numbers) for numbers in of_ranks) / ranks.count / len(done)
    for what, value in (("loss", sums["total"]), ("gradient", length)):
        if not math.isfinite(value):
            raise TrainingDiverged(_why(number, settings, what), number)
    sizes = [len(part) for part in scales]
    return sums, tuple(next(numbers) for size in sizes for numbers in of_ranks for _ in range(size))


def _evaluate(
    branched: BranchedModel, recipe: Recipe, samples: StepSamples, pass_limit: int | None
) -> dict[Pass, Tensor]:
    """Return every velocity of the recipe; passes of one branch, like gradient and like shape share one batch.

    A sample that two passes of a batch ask for with one text goes through it once. Batches without gradient come
    first, while nothing is kept yet for a backward pass.
    """
    groups: dict[tuple[str | None, bool, torch.Size], list[Pass]] = {}
    for p in recipe.passes:
        groups.setdefault((p.branch, p.grad, samples.of(p.text).x_t.shape[1:]), []).append(p)
    out: dict[Pass, Tensor] = {}
    for (branch, grad, _), members in sorted(groups.items(), key=lambda group: group[0][1]):
        asked: dict[Pass, list[tuple]] = {}
        rows: dict[tuple, tuple[Tensor, Tensor]] = {}
        for p in members:
            of = samples.of(p.text)
            texts = [text_of(known, p.text) for known in of.texts]
            asked[p] = list(zip(samples.sources(p.text), texts, strict=True))
            rows |= zip(asked[p], zip(of.x_t, of.t, strict=True), strict=True)
        x_t, t = (torch.stack(part) for part in zip(*rows.values(), strict=True))
        with torch.set_grad_enabled(grad):
            v = branched.run(branch, x_t, t, [text for _, text in rows], None if grad else pass_limit)
            v = weighted(branched.field.path, v, t)
            each = dict(zip(rows, v, strict=True))
            out |= {p: torch.stack([each[row] for row in wanted]) for p, wanted in asked.items()}
    return out


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
