"""Compute the measures of a customised model from embeddings, masks and images.

They are the columns of Table 1 of PureCC (arXiv 2603.07561) that need no model beyond CLIP, DINO and a segmenter. The
encoder sets the scale of CLIP-T, CLIP-I and DINO, so values of different encoders are not comparable.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """Return cos(a_i, b_j), [N, M] in float64, of embeddings [N, D] and [M, D].

    Raises:
        ValueError: the widths differ, or an embedding is zero or not finite and so has no direction.
    """
    if a.shape[-1] != b.shape[-1]:
        raise ValueError(
            f"Embeddings of {a.shape[-1]} and {b.shape[-1]} numbers cannot be compared. Use the same encoder for both."
        )
    a, b = a.double(), b.double()
    for rows in (a, b):
        norms = rows.norm(dim=-1)
        if not torch.isfinite(norms).all() or (norms == 0).any():
            raise ValueError(
                "An embedding is zero or not finite, so the encoder's file is damaged or incomplete. Get it again."
            )
    return torch.nn.functional.normalize(a, dim=-1) @ torch.nn.functional.normalize(b, dim=-1).T


def clip_t(images: Tensor, text: Tensor) -> float:
    """Return CLIP-T: 100 times the mean cosine between images and the text they should show, -100 to 100.

    Source: CLIP-T of DreamBooth (arXiv 2208.12242, section 4), which is the cosine of CLIPScore (arXiv 2104.08718)
    without its weight 2.5; times 100, as usual and as in PureCC's tables. Negative cosines are kept.

    Args:
        images: [N, D], CLIP's joint space.
        text: [D] or [1, D], the same space.
    """
    return 100.0 * float(cosines(images, text.reshape(1, -1)).mean())


def delta_clip_t(customised: Tensor, base: Tensor, text: Tensor) -> float:
    """Return ΔCLIP-T: CLIP-T of the customised model minus that of the base, same seeds; near or above 0 is better.

    Source: Table 1 of PureCC. The customised model gets the complete text and the base model the base text. CLIP does
    not know [v], so both are scored against the base text: it measures how well the rest of the prompt is followed.

    Args:
        customised: [N, D] embeddings of the customised model's images of the complete text.
        base: [M, D] embeddings of the base model's images of the base text.
        text: [D], the base text's embedding.
    """
    return clip_t(customised, text) - clip_t(base, text)


def fidelity(images: Tensor, references: Tensor) -> float:
    """Return CLIP-I or DINO: the mean cosine over all pairs of image and reference, -1 to 1; higher is better.

    Source: DreamBooth (arXiv 2208.12242, section 4); Table 1 of PureCC. CLIP's image embeddings give CLIP-I; the class
    token of a DINO model's last layer gives DINO. DreamBooth used DINO ViT-S/16 and ComfyUI loads DINOv2, so DINO
    values here rank methods among themselves and are not comparable with published ones.

    Args:
        images: [N, D].
        references: [M, D].
    """
    return float(cosines(images, references).mean())


def iou(a: Tensor, b: Tensor) -> float | None:
    """Return |a ∩ b| / |a ∪ b| of two masks [H, W] bool; None if both are empty.

    Raises:
        ValueError: the masks differ in size.
    """
    if a.shape != b.shape:
        raise ValueError(f"Masks of {tuple(a.shape)} and {tuple(b.shape)} cannot be compared. Use images of one size.")
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else None


def seg_cons(customised: Tensor, base: Tensor) -> float | None:
    """Return Seg-Cons: 100 times the mean IoU over the prompt's nouns of two images, 0 to 100; higher is better.

    Source: Table 1 of PureCC, which does not name its segmenter. Here each noun's mask is the union of what an
    open-vocabulary segmenter detects for it. A noun found in neither image is left out; one found in only one counts 0.

    Args:
        customised: [K, H, W] bool, a mask for each noun in the customised model's image.
        base: [K, H, W] bool, the same nouns in the base's image at the same seed.

    Returns:
        None if no noun was found in either image.
    """
    return mean_of([None if v is None else 100.0 * v for v in map(iou, customised, base)])


def change(a: Tensor, b: Tensor) -> float:
    """Return the image change: the mean absolute difference of two images' values, 0 to 1; 1 is black against white.

    Compares the base's and a customised model's image of one prompt and seed. Its baseline is `seed_floor`, the change
    that another seed makes.

    Args:
        a: [h, w, 3] in [0, 1].
        b: the same size.
    """
    return float((a.double() - b.double()).abs().mean())


def seed_floor(images: Tensor) -> float | None:
    """Return the mean `change` over all pairs of one model's images [S, h, w, 3] of a prompt; None for one seed."""
    return mean_of([change(a, b) for a, b in itertools.combinations(images, 2)])


def mean_of(values: Sequence[float | None]) -> float | None:
    """Return the mean of the values that are not None; None if there are none."""
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None


def interval(values: Sequence[float], resamples: int = 2000, seed: int = 0) -> tuple[float, float]:
    """Return a 95 % interval for the mean over prompts: percentiles of means over prompts resampled with replacement.

    Source: the percentile bootstrap (Efron, 1979). For Δ measures it is paired: a prompt's difference is one value.
    """
    known = torch.tensor(values, dtype=torch.float64)
    chosen = torch.randint(len(known), (resamples, len(known)), generator=torch.Generator().manual_seed(seed))
    low, high = known[chosen].mean(1).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return low, high
