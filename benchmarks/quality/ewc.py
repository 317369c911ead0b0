"""Elastic weight consolidation: weights that matter to the base's own pictures move less (Kirkpatrick et al. 2017)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor

from purecc_pack.purecc.host.training.session import Session
from purecc_pack.purecc.method import objective
from purecc_pack.purecc.method.path import interpolate, sample_timesteps, target_velocity
from purecc_pack.purecc.method.recipe import BASE, LEARNER, Pass, Recipe, Samples, Terms
from purecc_pack.purecc.training.branched_model import BranchedModel
from purecc_pack.purecc.training.dataset import ConceptItem
from purecc_pack.purecc.training.pool import generate_pool


@dataclass(frozen=True)
class Penalised(Recipe):
    """A recipe with a penalty on the weights.

    Attributes:
        recipe: the method.
        penalty: gives what is added to the loss of every step.
    """

    recipe: Recipe
    penalty: Callable[[], Tensor]

    @property
    def passes(self) -> tuple[Pass, ...]:
        """The passes of the method."""
        return self.recipe.passes

    def terms(self, v: Mapping[Pass, Tensor], references: Samples, pool: Samples | None) -> Terms:
        """Return the method's losses, the penalty in the total."""
        terms = self.recipe.terms(v, references, pool)
        return Terms(terms.total + self.penalty(), terms.parts)

    def describe(self) -> dict[str, Any]:
        """Return the method as plain data."""
        return self.recipe.describe()


def consolidated(session: Session, weight: float) -> Session:
    """Return the session with elastic weights; the base generates the images that they are estimated on."""
    job, branched = session.job, session.assembly.branched
    asked = job.pool.prompts, job.pool.images, job.settings.seed
    loss = penalty(branched, generate_pool(branched, session.dataset.items, *asked), weight)
    return replace(session, job=replace(job, recipe=Penalised(job.recipe, loss)))


def penalty(branched: BranchedModel, pictures: Sequence[ConceptItem], weight: float) -> Callable[[], Tensor]:
    """w · Σ F ⊙ ΔW² / Σ F over the layers with a LoRA, F the diagonal Fisher information, ΔW = scale · B A.

    F is the mean over pictures of the squared gradient of the base's own loss (3) with respect to W, as one picture has
    it. Dividing by ΣF makes the weight free of the model's size: it multiplies a mean of ΔW², times 10⁶.
    """
    layers = [m for m in branched.field.module.modules() if isinstance(m, LoraLayer) and LEARNER in m.lora_A]
    weights: list[Tensor] = [layer.get_base_layer().get_parameter("weight") for layer in layers]
    fisher = [torch.zeros_like(w, dtype=torch.float32) for w in weights]
    generator = torch.Generator().manual_seed(0)
    with torch.enable_grad():
        for w in weights:
            w.requires_grad_(True)
        for item in pictures:
            x0 = item.latents[:1].float().to(branched.field.device)
            x1 = torch.randn(x0.shape, generator=generator).to(x0)
            t = sample_timesteps(1, generator, shift=3.0).to(x0)
            v = branched.run(BASE, interpolate(x0, x1, t), t, [item.texts.base])
            loss = objective.concept_loss(v, target_velocity(x0, x1)).mean()
            for total, gradient in zip(fisher, torch.autograd.grad(loss, weights), strict=True):
                total += gradient.float().square()
        for w in weights:
            w.requires_grad_(False)
    information = torch.stack([f.sum() for f in fisher]).sum()

    def weighted() -> Tensor:
        out = torch.zeros((), device=information.device)
        for layer, f in zip(layers, fisher, strict=True):
            delta = layer.scaling[LEARNER] * layer.lora_B[LEARNER].weight @ layer.lora_A[LEARNER].weight
            out = out + (f * delta.square()).sum()
        return weight * 1e6 * out / information

    return weighted
