"""Describe Stable Diffusion 3 and 3.5: joint blocks of text and image."""

# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Iterable, Sequence

from comfy.ldm.modules.diffusionmodules.mmdit import MMDiT

from .family import Family, Stream, Usual
from .practice import Practice
from .text import Encoder, TextSide

NARROW = 768
"""Width below which a network is small; that of Stable Diffusion 3.5 Medium is 1536."""


class _StableDiffusion3(Family):
    def architecture_of(self, network: MMDiT) -> str:
        """Return the name in modelspec; only 3.5 Medium has a second attention."""
        return "stable-diffusion-v3.5-medium" if network.x_block_self_attn_layers else self.architecture

    def base_version(self, network: MMDiT) -> str:
        """Return the name in kohya's metadata; 3.5 has norms of queries and keys, of which 3 has none."""
        if network.x_block_self_attn_layers:
            return "sd35m"
        return (
            "sd35l" if hasattr(network.joint_blocks[0].x_block.attn.ln_q, "weight") else super().base_version(network)
        )

    def usual(self, network: MMDiT) -> Usual:
        """Return the settings; few and narrow blocks, as of PureCC Tiny, take a higher rate and a larger batch."""
        return Usual(1e-3, 4) if network.context_embedder.out_features < NARROW else super().usual(network)

    def text_widths(self, network: MMDiT) -> dict[str, int]:
        """Return the widths of the conditioning."""
        return {"text": network.context_embedder.in_features, "pooled text": network.y_embedder.mlp[0].in_features}

    def keep_positions(self, network: MMDiT, shapes: Iterable[Sequence[int]]) -> None:
        """Keep the middle of the position embeddings, which is what the host takes.

        SD3.5 Medium's are for images of 6144 pixels and take 0.45 GB.
        """
        if network.pos_embed is None:
            return
        whole = network.pos_embed_max_size
        side = max((n + 1) // network.patch_size for _, *sides in shapes for n in sides)
        side += (whole - side) % 2  # keeps the middle where it is
        if side < whole:
            middle = slice((whole - side) // 2, (whole + side) // 2)
            square = network.pos_embed.unflatten(1, (whole, whole))
            network.pos_embed = square[:, middle, middle].flatten(1, 2).clone()
            network.pos_embed_max_size = side


SD3 = _StableDiffusion3(
    name="Stable Diffusion 3 or 3.5",
    architecture="stable-diffusion-v3-medium",
    blocks=r"joint_blocks\.\d+",
    attention=r"(context_block|x_block)\.attn\.(qkv|proj)",
    second_attention=r"(context_block|x_block)\.attn2?\.(qkv|proj)",
    mlp=r"(context_block|x_block)\.mlp\.fc[12]",
    modulation=r"(context_block|x_block)\.adaLN_modulation\.1",
    text=TextSide(
        encoders={"clip_l": Encoder("l", 768), "clip_g": Encoder("g", 1280)},
        width=4096,
        untrained=("t5xxl",),
        pooled="all",
    ),
    streams=(Stream(0),),
    practice=Practice("sd3m", "ai-toolkit, train_lora_sd35_large_24gb.yaml", steps=2000),
)
