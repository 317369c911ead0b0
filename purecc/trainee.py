"""Everything that takes part in a run, and how each branch of it is spoken to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from .branches import Branches
from .concept import ConceptEmbedding, LayerHooks
from .field import Conditioner, VelocityField, velocities
from .recipes import EXTRACTOR, LEARNER


@dataclass(frozen=True)
class Speaker:
    """How a branch is spoken to.

    Attributes:
        embedding: what [v] is for it.
        conditioner: texts to conditioning, with that embedding in.
    """

    embedding: ConceptEmbedding
    conditioner: Conditioner


@dataclass(frozen=True)
class Trainee:
    """Everything that takes part in a run.

    Attributes:
        model: the velocity field, with branches on its network.
        branches: LEARNER, and EXTRACTOR where the recipe needs one.
        hooks: puts layer-wise vectors in.
        speakers: LEARNER's always, EXTRACTOR's where there is one; the base speaks with this, else with the learner's.
    """

    model: VelocityField
    branches: Branches
    hooks: LayerHooks
    speakers: Mapping[str, Speaker]

    def speaker(self, branch: str | None) -> Speaker:
        """Who speaks for a branch: θ1's embedding for θ1 and the base beside it; without θ1 always the learner's."""
        return self.speakers[LEARNER if branch == LEARNER or EXTRACTOR not in self.speakers else EXTRACTOR]

    def run(self, branch: str | None, x_t: Tensor, t: Tensor, texts: Sequence[str], limit: int | None = None) -> Tensor:
        """V of one branch at [B, C, H, W] for B texts."""
        speaker = self.speaker(branch)
        prompts = speaker.conditioner(texts)
        with self.branches.use(branch), self.hooks.use(speaker.embedding.layers):
            return velocities(self.model, x_t, t, prompts, limit)
