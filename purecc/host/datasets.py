"""A concept dataset from what the host's nodes hold: IMAGE tensors, captions, a VAE."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from comfy.sd import VAE
from torch import Tensor

from ..dataset import ConceptDataset, ConceptItem
from ..texts import default_caption, parse_caption
from . import latents


def build(
    images: Sequence[Tensor],
    captions: Sequence[str],
    class_word: str,
    kind: str,
    vae: VAE,
    resolution: int = 512,
    crop: str = "center",
    flip: bool = False,
    crops: int = 0,
) -> ConceptDataset:
    """Crops, encodes and pairs the references with their texts.

    Args:
        images: [B, h, w, 3] tensors, each of one picture or several.
        captions: one a picture, or one for all, or one text with a line for each; none, or one empty: the default.
        class_word: what the concept is one of.
        kind: "instance" or "style".
        vae: of the model that will be trained.
        resolution: see `latents.prepare`.
        crop: see `latents.prepare`.
        flip: whether mirror images are variants too.
        crops: how many random crops of each picture are variants too.

    Raises:
        ValueError: a picture or a caption cannot be used; says which and why.
    """
    pictures = [image for batch in images for image in batch.split(1)]
    if not pictures:
        raise ValueError("There are no reference pictures: connect at least one image.")
    texts = []
    for number, caption in enumerate(_pair(captions, len(pictures), class_word, kind), start=1):
        try:
            texts.append(parse_caption(caption, class_word, kind))
        except ValueError as error:
            raise ValueError(f"Caption {number} of {len(pictures)}: {error}") from error
    prepared = []
    for number, picture in enumerate(pictures, start=1):
        try:
            whole = latents.prepare(picture, resolution, crop)
            size = whole.shape[1:3]
            cut = [latents.resize(part[..., :3].float(), *size) for part in latents.windows(picture, crops)]
            prepared.append([whole, *cut])
        except ValueError as error:
            raise ValueError(f"Picture {number} of {len(pictures)}: {error}") from error
    items = []
    for variants, text in zip(prepared, texts, strict=True):
        mirrored = [v.flip(2) for v in variants] if flip else []
        encoded = torch.cat(latents.encode(vae, [*variants, *mirrored]))
        items.append(ConceptItem(encoded, text, variants[0][0].cpu()))
    return ConceptDataset(tuple(items), class_word.strip(), kind)


def _pair(captions: Sequence[str], count: int, class_word: str, kind: str) -> list[str]:
    """A caption for every picture."""
    if len(captions) <= 1:
        lines = "".join(captions).strip().splitlines()
        if not lines:
            return [default_caption(class_word, kind)] * count
        captions = lines
        if len(lines) == 1:
            return lines * count
    if len(captions) != count:
        raise ValueError(
            f"There are {count} pictures and {len(captions)} captions. Give one caption a picture, or one for all."
        )
    return list(captions)
