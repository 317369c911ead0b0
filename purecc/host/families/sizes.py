"""Say which image sizes a model takes."""

# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from comfy.model_patcher import ModelPatcher

from . import FAMILIES
from .others import KANDINSKY5, PIXART
from .sd3 import SD3


@dataclass(frozen=True)
class Rule:
    """The sizes that a family takes.

    Attributes:
        words: which, for messages.
        fits: whether a network takes a latent of this height and width.
    """

    words: str
    fits: Callable[[Any, int, int], bool]


def _in_positions(network: Any, height: int, width: int) -> bool:
    """Return whether the host finds a place for a latent in the position embeddings of a network of the SD3 kind."""
    if network.pos_embed is None:
        return True
    return (max(height, width) + 1) // network.patch_size <= network.pos_embed_max_size


def _even(_: Any, height: int, width: int) -> bool:
    return not (height % 2 or width % 2)


def _even_and_large(_: Any, height: int, width: int) -> bool:
    """Return whether sides are even and the host, which divides by their mean in units of 64, does not divide by 0."""
    return _even(_, height, width) and (height + width) // 2 > 32


RULES = {
    KANDINSKY5.name: Rule("sides of an even number of latents", _even),
    PIXART.name: Rule("sides of an even number of latents, more than 32 on average", _even_and_large),
    SD3.name: Rule("sides up to those of its position embeddings", _in_positions),
}
"""By the name of the family; all other families take every size, since their networks fill up the last patches."""


def pixels_per_latent(model: ModelPatcher) -> int:
    """Return the pixels for each latent along a side; 1 for a model of pixels."""
    return int(getattr(model.model.latent_format, "spacial_downscale_ratio", 8))


def latents_per_patch(model: ModelPatcher) -> int:
    """Return the latents along a side that the network takes together: its patch, or what a U-Net's levels make one."""
    network = model.model.diffusion_model
    size = getattr(network, "patch_size", None) or getattr(network, "patch_spatial", None)
    if size is None:
        return 2 ** (len(getattr(network, "channel_mult", (1, 1))) - 1)
    return int(size[-1] if isinstance(size, (tuple, list)) else size)


def size_problem(model: ModelPatcher, shape: Sequence[int]) -> str | None:
    """Return why a model does not take images of a size, and the nearest that it takes; None: it takes them.

    Args:
        model: MODEL.
        shape: height and width of the latents.
    """
    names = [cls.__name__ for cls in type(model.model).__mro__]
    family = next((family for name, family in FAMILIES.items() if name in names), None)
    rule = None if family is None else RULES.get(family.name)
    network, (height, width) = model.model.diffusion_model, shape
    if family is None or rule is None or rule.fits(network, height, width):
        return None
    pixels = pixels_per_latent(model)
    step = math.lcm(16, pixels) // pixels  # what Concept Dataset gives

    def distance(size: tuple[int, int]) -> tuple[int, float]:
        tall, wide = size
        return max(abs(tall - height), abs(wide - width)), abs(math.log(tall * width / (wide * height)))

    sides = range(step, 4 * max(height, width, 16), step)
    found = min((size for size in product(sides, sides) if rule.fits(network, *size)), key=distance)
    tall, wide = (pixels * side for side in found)
    return (
        f"Images of {pixels * width} x {pixels * height} pixels do not fit {family.name}, which takes {rule.words} "
        f"({pixels} pixels each). The nearest size that fits is {wide} x {tall}."
    )
