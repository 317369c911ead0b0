"""A concept dataset from what the host's nodes hold: IMAGE and MASK tensors, captions, a VAE."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from comfy.sd import VAE
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from .. import contact
from ..captions import read_captions
from ..dataset import ConceptDataset, ConceptItem
from ..texts import ConceptTexts
from . import latents


@dataclass(frozen=True)
class Reference:
    """One reference before it is encoded, and what is wrong with it.

    Attributes:
        caption: as it was given, or made from the short form.
        texts: of the caption; None where it cannot be read.
        variants: [1, H, W, 3] each, see `latents.variants`; none where the picture cannot be used.
        masks: the same of its mask, in grey; None: not known.
        problem: why it cannot be trained on; empty: it can.
        latents: [1, C, h, w] if it came as these, and the variant is for the eye; None: the variants are encoded.
    """

    caption: str
    texts: ConceptTexts | None
    variants: tuple[Tensor, ...]
    masks: tuple[Tensor, ...] | None
    problem: str = ""
    latents: Tensor | None = None


def build(
    images: Sequence[Tensor], captions: Sequence[str], class_word: str, kind: str, vae: VAE, *args, **options
) -> ConceptDataset:
    """The dataset of some references; see `prepare` and `encode`, whose errors it raises."""
    return encode(prepare(images, captions, class_word, kind, *args, **options), vae, class_word, kind)


def prepare(
    images: Sequence[Tensor],
    captions: Sequence[str],
    class_word: str,
    kind: str,
    resolution: int = 512,
    crop: str = "center",
    flip: bool = False,
    crops: int = 0,
    masks: Sequence[Tensor] | None = None,
    scene: str = "",
    trigger: str = "",
) -> list[Reference]:
    """Pairs pictures with captions and masks and crops them; what is wrong with a single reference is noted there.

    Args:
        images: [B, h, w, 1, 3 or 4] tensors, each of one picture or several.
        captions: see `read_captions`.
        class_word: what the concept is one of.
        kind: "instance" or "style".
        resolution: see `latents.prepare`.
        crop: see `latents.prepare`.
        flip: whether mirror images are variants too.
        crops: how many random crops of each picture are variants too.
        masks: where the concept is, 1 there and 0 elsewhere: [B, h, w] tensors, in all one a picture, in the shape of
            their pictures at any size; None or none: not known.
        scene: see `read_captions`.
        trigger: see `read_captions`.

    Raises:
        ValueError: there are no pictures, or not as many captions, masks or lines as pictures, or the class word is
            not usable.
    """
    pictures = [image for batch in images for image in batch.split(1)]
    if not pictures:
        raise ValueError("There are no reference pictures: connect at least one image, or latents.")
    count = len(pictures)
    read = read_captions(captions, count, class_word, kind, scene, trigger)
    single = _masks(masks or (), count)
    out = []
    for number, (picture, caption, mask) in enumerate(zip(pictures, read, single, strict=True), start=1):
        problems = [f"Caption {number} of {count}: {caption.problem}"] if caption.problem else []
        variants, grey = (), None
        try:
            picture = latents.rgb(picture)
            form = {"resolution": resolution, "crop": crop, "flip": flip, "cuts": latents.windows(picture, crops)}
            variants = tuple(latents.variants(picture, **form))
        except ValueError as error:
            problems.append(f"Picture {number} of {count}: {error}")
        if mask is not None and variants:
            try:
                grey = _cut(mask, picture, form)
            except ValueError as error:
                problems.append(f"Mask {number} of {count}: {error}")
        out.append(Reference(caption.text, caption.texts, variants, grey, "\n".join(problems)))
    return out


def refuse(references: Sequence[Reference]) -> None:
    """Refuses references of which one cannot be trained on.

    Raises:
        ValueError: a picture, a caption or a mask cannot be used; says which and why, for all of them.
    """
    if problems := [r.problem for r in references if r.problem]:
        raise ValueError("\n".join(problems))


def encode(references: Sequence[Reference], vae: VAE, class_word: str, kind: str) -> ConceptDataset:
    """The dataset of prepared references.

    Args:
        references: see `prepare`.
        vae: of the model that will be trained.
        class_word: what the concept is one of.
        kind: "instance" or "style".

    Raises:
        ValueError: see `refuse`.
    """
    refuse(references)
    items = []
    for r in references:
        encoded = torch.cat(latents.encode(vae, r.variants)) if r.latents is None else r.latents
        mask = None if r.masks is None else _averaged(r.masks, encoded.shape[-2:])
        items.append(ConceptItem(encoded, r.texts, r.variants[0][0].cpu(), mask))
    return ConceptDataset(tuple(items), class_word.strip(), kind)


def sheet(references: Sequence[Reference]) -> Image.Image:
    """The contact sheet of prepared references, what is wrong in red."""
    return contact.draw([_card(r) for r in references], title(references))


def title(references: Sequence[Reference]) -> str:
    """How many references there are, their sizes once they are cropped, and whether any cannot be used."""
    sizes = Counter("{1} x {0}".format(*r.variants[0].shape[1:3]) for r in references if r.variants)
    out = f"{len(references)} {'reference' if len(references) == 1 else 'references'}"
    if len(sizes) > 1:
        out += ": " + ", ".join(f"{n} of {size}" for size, n in sizes.items())
    elif sizes:
        out += f", {next(iter(sizes))} pixels"
    wrong = sum(bool(r.problem) for r in references)
    return f"{out} - {wrong} cannot be used" if wrong else out


def _card(reference: Reference) -> contact.Card:
    picture = reference.variants[0][0] if reference.variants else None
    texts = reference.texts
    if texts is None:
        return contact.Card(picture, (("caption", reference.caption or "(none)"),), False, reference.problem)
    shown = (("complete", texts.complete), ("base", texts.base), ("target", texts.target))
    return contact.Card(picture, shown, True, reference.problem)


def _masks(masks: Sequence[Tensor], count: int) -> list[Tensor | None]:
    single = [m for batch in masks for m in batch.reshape(-1, *batch.shape[-2:]).split(1)]
    if not single:
        return [None] * count
    if len(single) != count:
        raise ValueError(f"There are {count} pictures and {len(single)} masks. Give one mask a picture, or none.")
    return single


def _cut(mask: Tensor, picture: Tensor, form: dict) -> tuple[Tensor, ...]:
    """A mask in grey, in every form in which its picture is trained on."""
    grey = tuple(latents.variants(_grey(mask, *picture.shape[1:3]), **form))
    if not grey[0].any():
        raise ValueError("All of it lies outside the square that is cropped: set crop to none.")
    return grey


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
