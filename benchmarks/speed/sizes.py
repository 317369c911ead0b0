"""The shapes that are measured: Stable Diffusion 3.5 Medium, and small shapes for the tests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from speed.kinds import Kind


class Encoder(NamedTuple):
    """Shape of a text encoder."""

    width: int
    layers: int
    heads: int
    inner: int
    vocabulary: int


class Encoders(NamedTuple):
    """The three text encoders of Stable Diffusion 3."""

    clip_l: Encoder
    clip_g: Encoder
    t5xxl: Encoder


@dataclass(frozen=True)
class Size:
    """Shapes of every network.

    Attributes:
        name: in the results.
        depth: joint blocks; the width is 64 times the depth, and there are as many heads as blocks.
        second_attention: number of blocks, from the first, that have a second attention.
        position_side: side of the square of position embeddings, in patches.
        encoders: text encoders of the released step.
        host_encoders: names of those in the host's checkpoint; the host's CLIP-G cannot be small.
        vae_width: width of the first layer of the autoencoder; below 128 the host has TAESD instead.
        dtype: of weights and activations.
        pixels: sides of the images.
        pool: images that the base model generates for anchored learning.
        left_out: layers of T5 that the true size has besides.
    """

    name: str
    depth: int
    second_attention: int
    position_side: int
    encoders: Encoders
    host_encoders: tuple[str, ...]
    vae_width: int
    dtype: torch.dtype
    pixels: tuple[int, ...]
    pool: int
    left_out: int = 0

    @property
    def channels(self) -> int:
        """Channels of a latent."""
        return 16

    @property
    def hidden(self) -> int:
        """Width of the transformer."""
        return 64 * self.depth

    @property
    def pooled(self) -> int:
        """Width of the host's pooled text; without CLIP-G its part is zeros."""
        return self.encoders.clip_l.width + 1280

    @property
    def text_rows(self) -> int:
        """Rows of the host's text for a short prompt: 77 for the CLIPs, 77 for T5."""
        return 154 if "t5xxl" in self.host_encoders else 77


MEDIUM = Size(
    name="SD3.5 Medium",
    depth=24,
    second_attention=13,
    position_side=384,
    encoders=Encoders(
        clip_l=Encoder(768, 12, 12, 3072, 49408),
        clip_g=Encoder(1280, 32, 20, 5120, 49408),
        t5xxl=Encoder(4096, 24, 64, 10240, 32128),
    ),
    host_encoders=("clip_l", "clip_g", "t5xxl"),
    vae_width=128,
    dtype=torch.bfloat16,
    pixels=(512, 1024),
    pool=48,
)

SHORT_T5 = replace(
    MEDIUM,
    name="SD3.5 Medium, T5 of one layer",
    encoders=MEDIUM.encoders._replace(t5xxl=MEDIUM.encoders.t5xxl._replace(layers=1)),
    left_out=MEDIUM.encoders.t5xxl.layers - 1,
)
"""The same shapes in less memory, for a CPU. No step of ours runs T5; what the released step lacks is timed apart."""

SMALL = Size(
    name="small",
    depth=2,
    second_attention=1,
    position_side=16,
    encoders=Encoders(
        clip_l=Encoder(64, 3, 2, 128, 49408),
        clip_g=Encoder(32, 3, 2, 64, 1000),
        t5xxl=Encoder(128, 2, 2, 256, 1000),
    ),
    host_encoders=("clip_l",),
    vae_width=8,
    dtype=torch.float32,
    pixels=(64, 128),
    pool=2,
)


class Shape(NamedTuple):
    """Side of the images and samples a step; steps of warm-up, at least one, and steps that are timed."""

    pixels: int
    batch: int
    warmup: int = 1
    timed: int = 2


class Setup(NamedTuple):
    """What a contestant is given.

    Attributes:
        size: shapes of its networks; for ours and the host's trainer also another kind of model.
        device: where it computes.
        folder: of the checkpoint.
        prepare: whether masks and pool of anchored learning are made as for a user, or random ones stand in.
        whole_steps: steps of each stage of a whole run.
    """

    size: Size | Kind
    device: torch.device
    folder: Path
    prepare: bool = False
    whole_steps: int = 400
