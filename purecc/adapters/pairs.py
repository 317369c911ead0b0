"""Read and name the pair of matrices that a LoRA has for each layer, as the programs of the field write it."""

# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

ENDS = (
    (".lora_up.weight", ".lora_down.weight"),
    (".lora_B.weight", ".lora_A.weight"),
    (".lora_B.default.weight", ".lora_A.default.weight"),
    (".lora.up.weight", ".lora.down.weight"),
    ("_lora.up.weight", "_lora.down.weight"),
    (".lora_linear_layer.up.weight", ".lora_linear_layer.down.weight"),
    (".lora_B", ".lora_A"),
)
"""Ends of the keys of up and down, by format."""


@dataclass(frozen=True, eq=False)
class Pair:
    """A LoRA of one layer: W + (alpha / rank) · up down.

    Attributes:
        up: [out, rank].
        down: [rank, in].
        alpha: one number; None: the rank.
    """

    up: Tensor
    down: Tensor
    alpha: Tensor | None = None

    @property
    def rank(self) -> int:
        """Number of rows of `down`."""
        return len(self.down)

    @property
    def scale(self) -> float:
        """Factor alpha / rank."""
        return 1.0 if self.alpha is None else float(self.alpha) / self.rank

    def folded(self) -> Pair:
        """Return the same change without alpha, its scale multiplied into `up`."""
        return Pair(self.up if self.scale == 1.0 else self.up * self.scale, self.down)


@dataclass(frozen=True)
class PairStyle:
    """How a format ends the keys of a layer.

    Attributes:
        up: end of the key of up.
        down: end of the key of down.
        has_alpha: whether the format has a key for alpha.
    """

    up: str
    down: str
    has_alpha: bool = False

    def keys(self, name: str, pair: Pair) -> dict[str, Tensor]:
        """Return the tensors of a layer under their keys."""
        up, down = self.up, self.down
        if up == ".lora.up.weight" and ".processor." in name:  # of diffusers' attention processors
            up, down = "_lora.up.weight", "_lora.down.weight"
        out = {f"{name}{up}": pair.up, f"{name}{down}": pair.down}
        if self.has_alpha:
            out[f"{name}.alpha"] = torch.tensor(float(pair.rank)) if pair.alpha is None else pair.alpha
        return out


def pairs_of(tensors: Mapping[str, Tensor]) -> dict[str, Pair]:
    """Return the pairs of a LoRA by the name of the layer; those of convolutions as matrices.

    Raises:
        ValueError: a key belongs to no pair, a pair is incomplete or its shapes do not fit; names the key.
    """
    halves: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        name, half = split(key)
        if name is None or half in halves.setdefault(name, {}):
            raise ValueError(f"{key} is not part of a plain LoRA")
        halves[name][half] = tensor
    out = {}
    for name, found in halves.items():
        if found.keys() - {"alpha"} != {"up", "down"}:
            raise ValueError(f"{name} lacks one of its two matrices")
        up, down, alpha = found["up"], found["down"], found.get("alpha")
        if min(up.ndim, down.ndim) < 2 or up[0].numel() != len(down) or (alpha is not None and alpha.numel() != 1):
            shapes = f"{tuple(up.shape)} and {tuple(down.shape)}"
            raise ValueError(f"the matrices of {name} have shapes {shapes}, which do not fit each other")
        out[name] = Pair(up.flatten(1), down.flatten(1), None if alpha is None else alpha.reshape(()))
    return out


def split(key: str) -> tuple[str | None, str]:
    """Return (name of the layer, "up", "down" or "alpha") of a key; the name is None for a key of no plain LoRA."""
    if key.endswith(".alpha"):
        return key.removesuffix(".alpha"), "alpha"
    for up, down in ENDS:
        if key.endswith(up):
            return key.removesuffix(up), "up"
        if key.endswith(down):
            return key.removesuffix(down), "down"
    return None, ""
