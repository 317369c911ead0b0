"""What the trainer needs of a model: a velocity field, and the conditioning that it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Conditioning:
    """What the text encoders say of a batch of B prompts.

    Attributes:
        context: [B, N, D], the text stream.
        marks: [B, N] bool, True at the rows of the text stream where the concept [v] sits.
        fields: further tensors of the host's conditioning by name, each [B, ...] (the pooled vector, for one).
    """

    context: Tensor
    marks: Tensor
    fields: dict[str, Tensor] = field(default_factory=dict)

    @property
    def layout(self) -> tuple:
        """What must agree for two conditionings to share one batch: the shapes behind the batch dimension."""
        return (self.context.shape[1:], *((k, v.shape[1:]) for k, v in sorted(self.fields.items())))


def cat(parts: Sequence[Conditioning]) -> Conditioning:
    """One batch of several conditionings of equal layout."""
    return Conditioning(
        torch.cat([p.context for p in parts]),
        torch.cat([p.marks for p in parts]),
        {k: torch.cat([p.fields[k] for p in parts]) for k in parts[0].fields},
    )


class VelocityField(Protocol):
    """A flow model as v(x_t, t | y).

    Attributes:
        module: the network, for adapters to be injected into.
        text_blocks: its joint blocks in order; each takes the text stream [B, N, hidden] as its first argument.
        device: where it computes.
        loss_scale: what the loss is multiplied by for the backward pass, and the gradients divided by after it; a power
            of two, so that nothing is rounded. The loss is a mean over all numbers of a picture, so its gradient in
            each is tiny, the more so the larger the picture: 1e-5 and less at 1024 pixels, of which float16 keeps few
            digits or none. 1 in formats with the range of float32.
    """

    module: nn.Module
    text_blocks: Sequence[nn.Module]
    device: torch.device
    loss_scale: float

    def velocity(self, x_t: Tensor, t: Tensor, y: Conditioning) -> Tensor:
        """v(x_t, t | y).

        Args:
            x_t: [B, C, H, W] in the model's latent space, float32.
            t: [B] in (0, 1], 1 being noise.
            y: conditioning of B prompts.

        Returns:
            [B, C, H, W] in float32.
        """
        ...


class Conditioner(Protocol):
    """Texts with the marker [v] in, conditioning out; gradients flow to a trained token where one is trained."""

    def __call__(self, texts: Sequence[str]) -> list[Conditioning]:
        """One conditioning of batch size 1 for each text."""
        ...


def velocities(
    model: VelocityField, x_t: Tensor, t: Tensor, prompts: Sequence[Conditioning], limit: int | None = None
) -> Tensor:
    """v(x_t, t | y) for samples whose prompts may be of unlike layout: one pass for each layout.

    Args:
        model: the field.
        x_t: [B, C, H, W].
        t: [B].
        prompts: B conditionings of batch size 1.
        limit: the most samples in one pass; None: no limit.

    Returns:
        [B, C, H, W].
    """
    groups: dict[tuple, list[int]] = {}
    for i, y in enumerate(prompts):
        groups.setdefault(y.layout, []).append(i)
    out: list[Tensor | None] = [None] * len(prompts)
    for rows in groups.values():
        for start in range(0, len(rows), limit or len(rows)):
            part = rows[start : start + (limit or len(rows))]
            # Not by an index, for which a GPU would have to be waited for.
            some, times = (torch.cat([a[i : i + 1] for i in part]) for a in (x_t, t))
            v = model.velocity(some, times, cat([prompts[i] for i in part]))
            for i, row in zip(part, v, strict=True):
                out[i] = row
    return torch.stack(out)
