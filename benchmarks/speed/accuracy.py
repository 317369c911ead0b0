"""A fast path beside plain float32: one step of each, with the same weights, pictures, noise and adapters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from purecc_pack.purecc.dataset import ConceptDataset, ConceptItem
from purecc_pack.purecc.host.job import Job
from purecc_pack.purecc.recipes import LEARNER, Direction
from purecc_pack.purecc.trainee import Trainee
from purecc_pack.purecc.training import Callbacks, train

_NOTHING = 1e-30  # a rate that trains and changes nothing


@dataclass(frozen=True)
class Observation:
    """A step.

    Attributes:
        tensors: as the loop traces them: every velocity, "lambda" where there is one, losses.
        gradient: of all that is trained, one vector.
    """

    tensors: Mapping[str, Tensor]
    gradient: Tensor


def observe(trainee: Trainee, dataset: ConceptDataset, job: Job, pool: Sequence[ConceptItem]) -> Observation:
    """A step of a job whose learner is given weights that make a difference; it keeps them."""
    generator = torch.Generator().manual_seed(0)
    weights = trainee.branches.parameters(LEARNER)
    with torch.no_grad():
        for w in weights:
            w.copy_(0.2 * w.shape[1] ** -0.5 * torch.randn(w.shape, generator=generator))
    gradients: dict[int, Tensor] = {}
    traces: dict[int, Mapping[str, Tensor]] = {}
    with trainee.branches.use(LEARNER):  # a frozen weight takes no hook
        trained = [*weights, *trainee.speakers[LEARNER].embedding.trainable]
        hooks = [
            w.register_hook(lambda g, k=k: gradients.__setitem__(k, g.float().cpu())) for k, w in enumerate(trained)
        ]
    rate = _NOTHING if job.settings.embedding_lr else 0.0
    settings = replace(job.settings, steps=1, batch=2, lr=_NOTHING, embedding_lr=rate, weight_decay=0.0, clip=0.0)
    train(
        trainee, dataset, job.recipe, settings, Callbacks(on_trace=traces.__setitem__, trace_steps=frozenset([1])), pool
    )
    for hook in hooks:
        hook.remove()
    return Observation(traces[1], torch.cat([gradients[k].flatten() for k in sorted(gradients)]))


def compare(found: Observation, plain: Observation, direction: Direction | None = None) -> dict[str, float]:
    """How far a step is from the plain one.

    Args:
        found: of the fast path.
        plain: of plain float32.
        direction: whose R(y_tar) the recipe uses; None: none.

    Returns:
        "v.…": ‖v − v_plain‖ / ‖v_plain‖ of every velocity; "direction": the same of R(y_tar); "scale": the largest
        |λ − λ_plain| over the samples; "gradient": the cosine of the gradients. What a recipe lacks is left out.
    """
    names = [k for k in plain.tensors if k.startswith("v.")]
    out = {k: _error(found.tensors[k], plain.tensors[k]) for k in names}
    if direction is not None:
        branch = {"theta1": "extractor", "theta2": "learner", "base": "base"}[direction]
        pair = f"v.{branch}.target", f"v.{branch}.empty"
        r_tar, r_plain = (o.tensors[pair[0]] - o.tensors[pair[1]] for o in (found, plain))
        out["direction"] = _error(r_tar, r_plain)
    if "lambda" in plain.tensors:
        out["scale"] = float((found.tensors["lambda"] - plain.tensors["lambda"]).abs().max())
    out["gradient"] = float(F.cosine_similarity(found.gradient.double(), plain.gradient.double(), dim=0))
    return out


def _error(found: Tensor, plain: Tensor) -> float:
    return float((found - plain).double().norm() / plain.double().norm())
