"""The measures of a customised model on real pictures, as functions of embeddings and masks.

They are the columns of Table 1 of PureCC (arXiv 2603.07561) that need no model beyond CLIP, DINO and a segmenter. Which
encoder gave the embeddings decides the scale of CLIP-T, CLIP-I and DINO: figures of two encoders cannot be compared.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """cos(a_i, b_j), [N, M] in float64, of embeddings [N, D] and [M, D].

    Raises:
        ValueError: the widths differ, or an embedding is zero or not finite and so has no direction.
    """
    if a.shape[-1] != b.shape[-1]:
        raise ValueError(f"Embeddings of {a.shape[-1]} and {b.shape[-1]} numbers do not live in one space.")
    a, b = a.double(), b.double()
    for rows in (a, b):
        norms = rows.norm(dim=-1)
        if not torch.isfinite(norms).all() or (norms == 0).any():
            raise ValueError("An embedding is zero or not finite: the encoder's file is damaged or incomplete.")
    return torch.nn.functional.normalize(a, dim=-1) @ torch.nn.functional.normalize(b, dim=-1).T


def clip_t(pictures: Tensor, text: Tensor) -> float:
    """CLIP-T: 100 times the mean cosine between pictures and the text they should show, -100 to 100.

    Source: CLIP-T of DreamBooth (arXiv 2208.12242, section 4), which is the cosine of CLIPScore (arXiv 2104.08718)
    without its weight 2.5; times 100, as is customary and as in PureCC's tables. Negative cosines are kept.

    Args:
        pictures: [N, D], CLIP's joint space.
        text: [D] or [1, D], the same space.
    """
    return 100.0 * float(cosines(pictures, text.reshape(1, -1)).mean())


def delta_clip_t(customised: Tensor, base: Tensor, text: Tensor) -> float:
    """ΔCLIP-T: CLIP-T of the customised model minus CLIP-T of the base, at the same seeds; near or above 0 is better.

    Source: Table 1 of PureCC. The customised model draws the complete text and the base model the base text. CLIP knows
    no [v], so both are scored against the base text: what is left is how well the rest of the prompt is followed.

    Args:
        customised: [N, D] embeddings of the customised model's pictures of the complete text.
        base: [M, D] embeddings of the base model's pictures of the base text.
        text: [D], the base text's embedding.
    """
    return clip_t(customised, text) - clip_t(base, text)


def fidelity(pictures: Tensor, references: Tensor) -> float:
    """CLIP-I or DINO: the mean cosine over all pairs of a picture and a reference, -1 to 1; higher is better.

    Source: DreamBooth (arXiv 2208.12242, section 4); Table 1 of PureCC. With CLIP's image embeddings it is CLIP-I;
    with the class token of a DINO model's last layer it is DINO. DreamBooth used DINO ViT-S/16 and ComfyUI loads
    DINOv2, so DINO's figures here rank methods among themselves and are not comparable with published ones.

    Args:
        pictures: [N, D].
        references: [M, D].
    """
    return float(cosines(pictures, references).mean())


def iou(a: Tensor, b: Tensor) -> float | None:
    """|a ∩ b| / |a ∪ b| of two masks [H, W] bool; None where both are empty.

    Raises:
        ValueError: the masks differ in size.
    """
    if a.shape != b.shape:
        raise ValueError(f"Masks of {tuple(a.shape)} and {tuple(b.shape)} cannot be compared.")
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else None


def seg_cons(customised: Tensor, base: Tensor) -> float | None:
    """Seg-Cons: 100 times the mean IoU over the prompt's nouns of two pictures at one seed, 0 to 100; higher is better.

    Source: Table 1 of PureCC, which does not spell its segmenter out; here each noun's mask is the union of what an
    open-vocabulary segmenter detects for it. A noun found in neither picture says nothing and is left out; one found in
    only one of the two counts 0.

    Args:
        customised: [K, H, W] bool, a mask for each noun in the customised model's picture.
        base: [K, H, W] bool, the same nouns in the base's picture at the same seed.

    Returns:
        None where no noun was found in either picture.
    """
    return mean_of([None if v is None else 100.0 * v for v in map(iou, customised, base)])


def change(a: Tensor, b: Tensor) -> float:
    """Image change: the mean absolute difference of two pictures' values, 0 to 1; 1 is black against white.

    Between the base's and a customised model's picture of one prompt and seed it says how much of the picture is
    another. Its floor is `seed_floor`: what a mere change of seed does.

    Args:
        a: [h, w, 3] in [0, 1].
        b: the same size.
    """
    return float((a.double() - b.double()).abs().mean())


def seed_floor(pictures: Tensor) -> float | None:
    """The mean `change` over all pairs of one model's pictures [S, h, w, 3] of a prompt; None for a single seed."""
    return mean_of([change(a, b) for a, b in itertools.combinations(pictures, 2)])


def mean_of(values: Sequence[float | None]) -> float | None:
    """The mean of what was measured; None where nothing was."""
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None


def interval(values: Sequence[float], draws: int = 2000, seed: int = 0) -> tuple[float, float]:
    """A 95 % interval for the mean over prompts: percentiles of means over prompts drawn again with replacement.

    Source: the percentile bootstrap (Efron, 1979). For Δ measures it is paired: a prompt's difference is
    one value.
    """
    known = torch.tensor(values, dtype=torch.float64)
    chosen = torch.randint(len(known), (draws, len(known)), generator=torch.Generator().manual_seed(seed))
    low, high = known[chosen].mean(1).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return low, high
