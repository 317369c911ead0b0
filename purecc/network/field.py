"""Define what training needs of a model: a velocity field, and the conditioning that it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..method.path import NoisePath


@dataclass(frozen=True)
class Conditioning:
    """The text encoders' output for a batch of B prompts.

    Attributes:
        context: [B, N, D], the text stream.
        marks: [B, N] bool, True at the rows of the text stream where the concept [v] sits.
        fields: for each prompt, what the host's conditioning holds beside the text stream (the pooled vector, for one),
            as for a batch of one.
    """

    context: Tensor
    marks: Tensor
    fields: tuple[Mapping[str, Any], ...] = ()

    @property
    def layout(self) -> tuple:
        """The shapes and plain values that are equal for prompts that share one batch."""
        named = [tuple((k, _layout(v)) for k, v in sorted(one.items())) for one in self.fields]
        return (self.context.shape[1:], *dict.fromkeys(named))


def _layout(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.shape
    return tuple(map(_layout, value)) if isinstance(value, list | tuple) else value


def cat(parts: Sequence[Conditioning]) -> Conditioning:
    """Return one batch of several conditionings of equal layout."""
    return Conditioning(
        torch.cat([p.context for p in parts]),
        torch.cat([p.marks for p in parts]),
        tuple(one for p in parts for one in p.fields),
    )


class VelocityField(Protocol):
    """A model as v(x_t, t | y).

    Attributes:
        module: the network, for adapters to be injected into.
        text_blocks: its transformer blocks in order.
        device: where it computes.
        path: at which times it is trained and sampled.
    """

    module: nn.Module
    text_blocks: Sequence[nn.Module]
    device: torch.device
    path: NoisePath

    @property
    def loss_scale(self) -> float:
        """The factor of the loss in the backward pass, by which the gradients are divided again.

        A power of two, so that nothing is rounded. The loss is a mean over all numbers of an image, so its gradient in
        each is tiny: 1e-5 and less at 1024 pixels, of which float16 keeps few digits or none. 1 in formats with the
        range of float32.
        """
        ...

    def velocity(self, x_t: Tensor, t: Tensor, y: Conditioning) -> Tensor:
        """Return v(x_t, t | y).

        Args:
            x_t: [B, C, H, W] in the model's latent space, float32.
            t: [B] in (0, 1], 1 being noise.
            y: conditioning of B prompts.

        Returns:
            [B, C, H, W] in float32.
        """
        ...


class Conditioner(Protocol):
    """Turns texts, with or without [v], into conditioning; gradients flow to the token where it is trained."""

    def __call__(self, texts: Sequence[str]) -> list[Conditioning]:
        """Return one conditioning of batch size 1 for each text."""
        ...


def velocities(
    model: VelocityField, x_t: Tensor, t: Tensor, prompts: Sequence[Conditioning], limit: int | None = None
) -> Tensor:
    """Return v(x_t, t | y) for samples whose prompts may be of unlike layout: one pass for each layout.

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
    out: dict[int, Tensor] = {}
    for rows in groups.values():
        for start in range(0, len(rows), limit or len(rows)):
            part = rows[start : start + (limit or len(rows))]
            # Not by an index, for which a GPU would have to be waited for.
            some, times = (torch.cat([a[i : i + 1] for i in part]) for a in (x_t, t))
            v = model.velocity(some, times, cat([prompts[i] for i in part]))
            for i, row in zip(part, v, strict=True):
                out[i] = row
    return torch.stack([out[i] for i in range(len(prompts))])
