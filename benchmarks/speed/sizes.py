"""The shapes that are measured: Stable Diffusion 3.5 Medium's, and small ones for a CPU and the tests."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch


@dataclass(frozen=True)
class Encoder:
    """Shape of a text encoder.

    Attributes:
        width: of its hidden states.
        layers: how many.
        heads: of its attention.
        inner: width inside the feed-forward part.
        vocabulary: entries of its embedding table.
    """

    width: int
    layers: int
    heads: int
    inner: int
    vocabulary: int


@dataclass(frozen=True)
class Size:
    """Everything that a figure depends on beside batch and pixels.

    Attributes:
        name: in the results.
        depth: joint blocks; the hidden width is 64 a block, the heads as many as blocks.
        second_attention: how many of the first blocks have one.
        position_side: side of the square of position embeddings, in patches.
        encoders: "clip_l", "clip_g" and "t5xxl", as the released step runs them.
        host_encoders: which of them the host's checkpoint has; the host chooses CLIP-G's and T5's shapes itself.
        vae_width: of the first layer of the autoencoder, as the released step runs it.
        tiny_vae: whether the host's checkpoint has a small autoencoder (TAESD) in its place.
        dtype: of weights and activations.
        pixels: sides of the pictures.
        pool: pictures that the base draws for anchored learning; 48 is the node's.
    """

    name: str
    depth: int
    second_attention: int
    position_side: int
    encoders: dict[str, Encoder] = field(hash=False)
    host_encoders: tuple[str, ...]
    vae_width: int
    tiny_vae: bool
    dtype: torch.dtype
    pixels: tuple[int, ...]
    pool: int

    @property
    def hidden(self) -> int:
        """Width of the transformer."""
        return 64 * self.depth

    @property
    def pooled(self) -> int:
        """Width of the host's pooled text; CLIP-G's part is zeros where there is none."""
        return self.encoders["clip_l"].width + 1280

    @property
    def text_rows(self) -> int:
        """Rows of the host's text stream for a short prompt: 77 for the CLIPs, 77 for T5."""
        return 154 if "t5xxl" in self.host_encoders else 77


MEDIUM = Size(
    name="SD3.5 Medium",
    depth=24,
    second_attention=13,
    position_side=384,
    encoders={
        "clip_l": Encoder(768, 12, 12, 3072, 49408),
        "clip_g": Encoder(1280, 32, 20, 5120, 49408),
        "t5xxl": Encoder(4096, 24, 64, 10240, 32128),
    },
    host_encoders=("clip_l", "clip_g", "t5xxl"),
    vae_width=128,
    tiny_vae=False,
    dtype=torch.bfloat16,
    pixels=(512, 1024),
    pool=48,
)

SMALL = Size(
    name="small",
    depth=2,
    second_attention=1,
    position_side=16,
    encoders={
        "clip_l": Encoder(64, 3, 2, 128, 49408),
        "clip_g": Encoder(32, 3, 2, 64, 1000),
        "t5xxl": Encoder(128, 2, 2, 256, 1000),
    },
    host_encoders=("clip_l",),
    vae_width=8,
    tiny_vae=True,
    dtype=torch.float32,
    pixels=(64, 128),
    pool=2,
)
