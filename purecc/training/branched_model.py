"""A base model with its LoRA branches, each prompted with its own concept embedding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..method.recipe import EXTRACTOR, LEARNER
from ..network.embedding import ConceptEmbedding, LayerHooks
from ..network.field import Conditioner, VelocityField, velocities
from ..network.lora import LoraBranches
from ..network.sampling import guide


@dataclass(frozen=True)
class Prompting:
    """How one branch is prompted.

    Attributes:
        embedding: the vectors that stand for [v].
        conditioner: turns texts into conditioning, with that embedding in.
    """

    embedding: ConceptEmbedding
    conditioner: Conditioner


@dataclass(frozen=True)
class BranchedModel:
    """A base model with its LoRA branches.

    Attributes:
        field: the velocity field, with branches on its network.
        branches: LEARNER, and EXTRACTOR where the recipe needs one.
        hooks: puts layer-wise vectors in.
        prompting: LEARNER's always, EXTRACTOR's where there is one.
    """

    field: VelocityField
    branches: LoraBranches
    hooks: LayerHooks
    prompting: Mapping[str, Prompting]

    def prompting_of(self, branch: str | None) -> Prompting:
        """Return the prompting of a branch: θ1's for itself and for the base; without θ1 the learner's for all."""
        return self.prompting[LEARNER if branch == LEARNER or EXTRACTOR not in self.prompting else EXTRACTOR]

    def run(self, branch: str | None, x_t: Tensor, t: Tensor, texts: Sequence[str], limit: int | None = None) -> Tensor:
        """Return v of one branch, [B, C, H, W].

        Args:
            branch: LEARNER, EXTRACTOR or BASE.
            x_t: [B, C, H, W].
            t: [B].
            texts: B of them.
            limit: the most samples in one pass; None: no limit.
        """
        prompted = self.prompting_of(branch)
        prompts = prompted.conditioner(texts)
        with self.branches.use(branch), self.hooks.use(prompted.embedding.layers):
            return velocities(self.field, x_t, t, prompts, limit)

    def guided(
        self, branch: str | None, texts: Sequence[str], cfg: float, limit: int | None = None
    ) -> Callable[[Tensor, Tensor], Tensor]:
        """Return a function (x_t [B, C, H, W], t [B]) -> v of one branch with guidance, for B fixed texts.

        Args:
            branch: LEARNER, EXTRACTOR or BASE.
            texts: B of them.
            cfg: the guidance scale.
            limit: the most samples in one pass; a text takes two, one with it and one with the empty text.
        """

        def velocity(x: Tensor, t: Tensor) -> Tensor:
            both = [*texts, *[""] * len(texts)]
            v, v_empty = self.run(branch, torch.cat([x, x]), torch.cat([t, t]), both, limit).chunk(2)
            return guide(v, v_empty, cfg)

        return velocity
