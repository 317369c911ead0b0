"""Elastic weight consolidation: weights that matter to the base's own pictures move less (Kirkpatrick et al. 2017)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor

from purecc_pack.purecc import objective
from purecc_pack.purecc.dataset import ConceptItem
from purecc_pack.purecc.recipes import BASE, LEARNER
from purecc_pack.purecc.trainee import Trainee


def penalty(trainee: Trainee, pictures: Sequence[ConceptItem], weight: float) -> Callable[[], Tensor]:
    """w · Σ F ⊙ ΔW² / Σ F over the layers with a LoRA, F the diagonal Fisher information, ΔW = scale · B A.

    F is the mean over pictures of the squared gradient of the base's own loss (3) with respect to W, as one picture has
    it. Dividing by ΣF makes the weight free of the model's size: it multiplies a mean of ΔW², times 10⁶.
    """
    layers = [m for m in trainee.model.module.modules() if isinstance(m, LoraLayer) and LEARNER in m.lora_A]
    weights = [layer.get_base_layer().weight for layer in layers]
    fisher = [torch.zeros_like(w, dtype=torch.float32) for w in weights]
    generator = torch.Generator().manual_seed(0)
    with torch.enable_grad():
        for w in weights:
            w.requires_grad_(True)
        for item in pictures:
            x0 = item.latents[:1].float().to(trainee.model.device)
            x1 = torch.randn(x0.shape, generator=generator).to(x0)
            t = objective.sample_timesteps(1, generator, shift=3.0).to(x0)
            v = trainee.run(BASE, objective.interpolate(x0, x1, t), t, [item.texts.base])
            loss = objective.concept_loss(v, objective.target_velocity(x0, x1)).mean()
            for total, gradient in zip(fisher, torch.autograd.grad(loss, weights), strict=True):
                total += gradient.float().square()
        for w in weights:
            w.requires_grad_(False)
    total = sum(f.sum() for f in fisher)

    def loss() -> Tensor:
        out = torch.zeros((), device=total.device)
        for layer, f in zip(layers, fisher, strict=True):
            delta = layer.scaling[LEARNER] * layer.lora_B[LEARNER].weight @ layer.lora_A[LEARNER].weight
            out = out + (f * delta.square()).sum()
        return weight * 1e6 * out / total

    return loss
