"""How long and how fast to train."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """How long and how fast to train.

    Attributes:
        steps: optimiser steps.
        batch: samples a pass.
        accumulation: passes an optimiser step.
        lr: peak learning rate of the LoRA.
        embedding_lr: peak learning rate of the concept embeddings; 0 freezes them.
        schedule: "constant", "cosine" or "linear" (both to zero), after the warmup.
        warmup: steps from zero to the peak.
        weight_decay: AdamW's, on the LoRA; the embeddings have none.
        clip: the largest gradient norm; 0: no clipping.
        density: of t, "logit_normal" or "uniform".
        shift: of t, t' = s t / (1 + (s - 1) t); None: the model's own.
        seed: of batches, noise, t and the LoRA's start.
    """

    steps: int = 400
    batch: int = 2
    accumulation: int = 1
    lr: float = 1e-4
    embedding_lr: float = 1e-4
    schedule: str = "constant"
    warmup: int = 0
    weight_decay: float = 1e-4
    clip: float = 1.0
    density: str = "logit_normal"
    shift: float | None = None
    seed: int = 0
