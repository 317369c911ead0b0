"""A concept dataset from what the host's nodes hold: IMAGE and MASK tensors, captions, a VAE."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from comfy.sd import VAE
from torch import Tensor
from torch.nn import functional as F

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
    masks: Sequence[Tensor] | None = None,
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
        masks: where the concept is, 1 there and 0 elsewhere: [B, h, w] tensors, in all one a picture, in the shape of
            their pictures at any size; None or none: not known.

    Raises:
        ValueError: a picture, a caption or a mask cannot be used; says which and why.
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
    given = _given(masks or (), pictures)
    prepared = []
    for number, (picture, mask) in enumerate(zip(pictures, given, strict=True), start=1):
        try:
            latents.check(picture)
            form = {"resolution": resolution, "crop": crop, "flip": flip, "cuts": latents.windows(picture, crops)}
            grey = None if mask is None else latents.variants(mask, **form)
            if grey is not None and not grey[0].any():
                raise ValueError("All of its mask lies outside the square that is cropped: set crop to none.")
            prepared.append((latents.variants(picture, **form), grey))
        except ValueError as error:
            raise ValueError(f"Picture {number} of {len(pictures)}: {error}") from error
    items = []
    for (variants, grey), text in zip(prepared, texts, strict=True):
        encoded = torch.cat(latents.encode(vae, variants))
        mask = None if grey is None else _averaged(grey, encoded.shape[-2:])
        items.append(ConceptItem(encoded, text, variants[0][0].cpu(), mask))
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


def _given(masks: Sequence[Tensor], pictures: Sequence[Tensor]) -> list[Tensor | None]:
    """The mask of every picture as a grey picture of its very size, so that it is cut and scaled as the picture is."""
    single = [m for batch in masks for m in batch.reshape(-1, *batch.shape[-2:]).split(1)]
    if not single:
        return [None] * len(pictures)
    if len(single) != len(pictures):
        raise ValueError(
            f"There are {len(pictures)} pictures and {len(single)} masks. Give one mask a picture, or none."
        )
    out = []
    for number, (mask, picture) in enumerate(zip(single, pictures, strict=True), start=1):
        try:
            out.append(_grey(mask, *picture.shape[1:3]))
        except ValueError as error:
            raise ValueError(f"Mask {number} of {len(single)}: {error}") from error
    return out


def _grey(mask: Tensor, height: int, width: int) -> Tensor:
    """A mask [1, h, w] as a picture [1, height, width, 3]."""
    h, w = mask.shape[1:]
    if abs(h * width - w * height) > max(h, w, height, width):  # one row or column more or less is rounding
        raise ValueError(f"It is {w} x {h} and its picture {width} x {height}: give it the shape of its picture.")
    mask = mask.float()
    if not torch.isfinite(mask).all():
        raise ValueError("It holds values that are not numbers.")
    if not (mask > 0).any():
        raise ValueError(
            "It is empty. Paint over the concept, or connect no masks at all to have them found. "
            "(Load Image gives an empty mask for a picture without transparency.)"
        )
    if (h, w) != (height, width):
        mask = F.interpolate(mask[None], (height, width), mode="bilinear", antialias=True)[0]
    return mask.clamp(0, 1)[..., None].expand(-1, -1, -1, 3)


def _averaged(variants: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
    """Grey pictures as masks of the latents, [V, 1, H, W]."""
    return F.adaptive_avg_pool2d(torch.cat([v[..., 0] for v in variants])[:, None], size).cpu()
