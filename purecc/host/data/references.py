"""Build a concept dataset from IMAGE and MASK tensors, captions and a VAE of the host."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from comfy.model_management import throw_exception_if_processing_interrupted as interrupted
from comfy.sd import VAE
from torch import Tensor

from ...text.captions import Caption, CaptionInput, read_captions
from ...text.concept import Concept
from ...text.spelling import not_finite, quoted
from ...text.texts import ConceptTexts
from ...training.dataset import ConceptDataset, ConceptItem, Shrink
from ...training.sizing import shrunk
from ..room import check_memory
from . import image_tensors
from . import masks as of_masks
from .image_tensors import Cropping
from .input_folders import shortened

DEFAULT_CROPPING = Cropping()

OnImage = Callable[[int, int], None]


def _silent(number: int, count: int) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Reference:
    """One reference before it is encoded, with its problems.

    Attributes:
        caption: as given, or made from the short form.
        texts: of the caption; None if it cannot be read.
        variants: [1, H, W, 3] each, see `image_tensors.variants`; empty if the image cannot be used.
        masks: the same variants of its mask, in grey; None: no mask.
        problem: why it cannot be trained on; empty: it can.
        latents: [1, C, h, w] if it was given as latents; its variant is then only for display.
        weight: how often it was given.
        remark: what a user should know of its mask; empty: nothing.
        place: path of its file below the host's input folder; empty: unknown.
    """

    caption: str
    texts: ConceptTexts | None
    variants: tuple[Tensor, ...]
    masks: tuple[Tensor, ...] | None
    problem: str = ""
    latents: Tensor | None = None
    weight: int = 1
    remark: str = ""
    place: str = ""


def build(
    images: Sequence[Tensor],
    captions: CaptionInput,
    concept: Concept,
    vae: VAE,
    cropping: Cropping = DEFAULT_CROPPING,
    masks: Sequence[Tensor] | None = None,
) -> ConceptDataset:
    """Build the dataset of some references; see `prepare` and `encode`, whose errors it raises."""
    return encode(prepare(images, captions, concept, cropping, masks), vae, concept)


def prepare(
    images: Sequence[Tensor],
    captions: CaptionInput,
    concept: Concept,
    cropping: Cropping = DEFAULT_CROPPING,
    masks: Sequence[Tensor] | None = None,
    begun: OnImage = _silent,
) -> list[Reference]:
    """Pair images with captions and masks and crop them; a problem with a single reference is stored in it.

    Args:
        images: [B, h, w, 1, 3 or 4] tensors, each of one or more images.
        captions: of the images.
        concept: what they show.
        cropping: how they are cropped and varied.
        masks: where the concept is, 1 inside and 0 outside: [B, h, w] tensors, one mask per image in total, each in the
            shape of its image at any size, or zeros where none is known; None or empty: no masks.
        begun: called with the number of each image, from 1, and how many there are.

    Raises:
        ValueError: there are no images, the number of captions, masks or scene lines differs from that of the images,
            or the class word is not usable.
    """
    single = [image for batch in images for image in batch.split(1)]
    if not single:
        raise ValueError("There are no reference images. Connect at least one image, or latents.")
    read = read_captions(captions, len(single), concept)
    given = Counter(
        zip(map(_Same, single), read, map(_Same, of_masks.single_masks(masks or (), len(single))), strict=True)
    )
    check_memory(
        f"The crops of {len(given)} references",
        sum(image_tensors.cropped_bytes(image.tensor, cropping) for image, *_ in given),
        "Use fewer images, a lower resolution or fewer crops.",
    )
    out = []
    for number, ((image, caption, mask), weight) in enumerate(given.items(), start=1):
        interrupted()
        begun(number, len(given))
        reference = _prepare(image.tensor, caption, mask.tensor, cropping, f"{number} of {len(given)}")
        out.append(replace(reference, weight=weight))
    return out


class _Same:
    """A tensor by the memory it lies in: a repeated image is the same one."""

    def __init__(self, tensor):
        self.tensor = tensor
        place = (tensor.data_ptr(), tensor.shape, tensor.stride()) if torch.is_tensor(tensor) else None
        self._place = place

    def __eq__(self, other):
        return self._place == other._place

    def __hash__(self):
        return hash(self._place)


def _prepare(image: Tensor, caption: Caption, mask: Tensor | None, cropping: Cropping, number: str) -> Reference:
    of = f" ({caption.image})" if caption.image else ""
    problems, remark = [], ""
    if caption.problem:
        file = f" ({caption.file or 'of ' + caption.image})" if of else ""
        problems.append(f"Caption {number}{file}: {caption.problem}")
    variants: tuple[Tensor, ...] = ()
    grey: tuple[Tensor, ...] | None = None
    try:
        image = image_tensors.rgb(image)
        cuts = image_tensors.windows(image, cropping.crops)
        variants = tuple(image_tensors.variants(image, cropping, cuts, interrupted))
    except ValueError as error:
        problems.append(f"Image {number}{of}: {error}")
    if mask is not None and variants:
        try:
            remark = of_masks.remark_on(mask)
            if not of_masks.is_empty(mask):
                height, width = image.shape[1:3]
                grey = tuple(
                    image_tensors.variants(of_masks.as_image(mask, height, width), cropping, cuts, interrupted)
                )
                of_masks.check_crop(grey[0])
        except ValueError as error:
            grey = None
            problems.append(f"Mask {number}{of}: {error}")
    if remark:
        remark = f"Mask {number}{of}: {remark}"
    whole = "\n".join(problems)
    return Reference(caption.text, caption.texts, variants, grey, whole, remark=remark, place=caption.place)


def refuse(references: Sequence[Reference]) -> None:
    """Refuse references of which one cannot be trained on.

    Raises:
        ValueError: an image, caption or mask cannot be used; names each with its reason.
    """
    if problems := [r.problem for r in references if r.problem]:
        raise ValueError("\n".join(shortened(problems)))


def encode(references: Sequence[Reference], vae: VAE, concept: Concept, begun: OnImage = _silent) -> ConceptDataset:
    """Encode prepared references to a dataset.

    Args:
        references: see `prepare`.
        vae: of the model to train.
        concept: what they show.
        begun: see `prepare`.

    Raises:
        ValueError: see `refuse`; or the VAE gave a latent that is not finite.
    """
    refuse(references)
    items, count = [], len(references)
    for number, reference in enumerate(references, start=1):
        begun(number, count)
        items.append(_item(reference, vae, f"image {number} of {count}"))
    return ConceptDataset(tuple(items), Concept(concept.class_word.strip(), concept.kind))


def _item(reference: Reference, vae: VAE, which: str) -> ConceptItem:
    interrupted()
    latents, shrink = reference.latents, None
    if latents is None:
        latents = _encoded(reference.variants, vae, f"{which} ({quoted(reference.caption)})")
        shrink = _shrink(reference, vae, f"{which} ({quoted(reference.caption)}), made smaller")
    height, width = latents.shape[-2:]
    mask = None if reference.masks is None else of_masks.averaged(reference.masks, (height, width))
    assert reference.texts is not None  # or it would have a problem
    image, *others = (variant[0].cpu() for variant in reference.variants)
    return ConceptItem(latents, reference.texts, image, mask, reference.weight, shrink=shrink, others=tuple(others))


def _encoded(pictures: Sequence[Tensor], vae: VAE, which: str) -> Tensor:
    latents = torch.cat(image_tensors.encode(vae, pictures, interrupted))
    if wrong := int((~latents.isfinite()).sum()):
        raise ValueError(
            f"The VAE gave {not_finite(wrong)} for {which}. Load the VAE in float32 or bfloat16, or use another VAE."
        )
    return latents


def _shrink(reference: Reference, vae: VAE, which: str) -> Shrink:
    def shrink(factor: float) -> tuple[Tensor, tuple[Tensor, ...]]:
        pictures = [shrunk(variant, factor) for variant in reference.variants]
        with torch.no_grad():  # it is called where gradients are on, which a VAE of inference tensors refuses
            return _encoded(pictures, vae, which), tuple(picture[0].cpu() for picture in pictures)

    return shrink
