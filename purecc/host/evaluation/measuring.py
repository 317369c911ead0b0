"""Measure a protocol's images with the encoders that the user has connected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from comfy.clip_vision import ClipVisionModel
from comfy.sd import CLIP
from torch import Tensor

from ...evaluation import measures
from ...evaluation.pictures import ProtocolPictures
from ...evaluation.report import Report, Scores
from ..data.image_tensors import opaque
from ..ui.node_progress import NodeProgress
from . import encoders, segments


@dataclass(frozen=True)
class Encoders:
    """Encoders that measure; without one its columns are left out.

    Attributes:
        clip_vision: for CLIP-I and, with clip, CLIP-T.
        clip: the text encoder of the same CLIP.
        dino: CLIP_VISION of a DINO model.
        segmenter: MODEL of SAM3, for Seg-Cons.
        segmenter_clip: its text encoder.
        nouns: what to segment, a row per prompt.
        threshold: of the segmenter.
    """

    clip_vision: ClipVisionModel | None = None
    clip: CLIP | None = None
    dino: ClipVisionModel | None = None
    segmenter: object | None = None
    segmenter_clip: CLIP | None = None
    nouns: tuple[tuple[str, ...], ...] = ()
    threshold: float = 0.5

    def check(self) -> None:
        """Refuse encoders that do not fit together.

        Raises:
            ValueError: an input is missing or of the wrong kind; names it.
        """
        if self.clip_vision is None and self.dino is None and self.segmenter is None:
            raise ValueError("No encoder is connected. Connect clip_vision, dino or segmenter.")
        if self.clip_vision is not None:
            encoders.check_clip_vision(self.clip_vision)
        elif self.clip is not None:
            raise ValueError(
                "clip is connected without clip_vision. CLIP-T needs both encoders of a CLIP: connect clip_vision too."
            )
        if self.clip is not None and self.clip_vision is not None:
            encoders.text_encoder(self.clip, self.clip_vision)
        if self.dino is not None:
            encoders.check_dino(self.dino)
        if self.segmenter is not None:
            segments.check_segmenter(self.segmenter, self.segmenter_clip)
        elif self.segmenter_clip is not None:
            raise ValueError("segmenter_clip is connected without segmenter. Connect a SAM3 checkpoint to both.")

    def parts(self, images: int, references: int) -> int:
        """Return how many images and references the encoders process, for a progress bar."""
        known = [e for e in (self.clip_vision, self.dino) if e is not None]
        return len(known) * (images + references) + (images if self.segmenter is not None else 0)


def measure(
    pictures: ProtocolPictures,
    references: Sequence[Tensor],
    using: Encoders,
    progress: NodeProgress,
    drift: float | None = None,
) -> Report:
    """Compute every measure that the encoders allow.

    Args:
        pictures: images of both models.
        references: images of the concept, [h, w, 3] each in [0, 1].
        using: checked with `Encoders.check`.
        progress: on the node; its parts are those of `Encoders.parts`.
        drift: velocity drift, to include in the report.
    """
    count = len(pictures.prompts)
    scores: list[dict] = [{} for _ in range(count)]
    by: dict[str, str] = {}
    for column, vision in (("CLIP-I", using.clip_vision), ("DINO", using.dino)):
        if vision is None:
            continue
        progress.say(f"{column}: embedding {len(references)} references and {2 * count} rows of images")
        known = encoders.embed_images(vision, references, progress.advance)
        base, customised = (_embed_rows(vision, p, progress) for p in (pictures.base, pictures.customised))
        key = column.lower().replace("-", "_")
        by[column] = encoders.describe(vision)
        for p, prompt in enumerate(pictures.prompts):
            if prompt.names_concept:
                scores[p][key] = measures.fidelity(customised[p], known)
                scores[p][f"{key}_base"] = measures.fidelity(base[p], known)
        if column == "CLIP-I" and using.clip is not None:
            name = encoders.text_encoder(using.clip, vision)
            texts = encoders.embed_texts(using.clip, name, [p.base for p in pictures.prompts])
            by["CLIP-T and ΔCLIP-T"] = f"{by[column]}, with the text encoder {name}"
            for p, text in enumerate(texts):
                scores[p]["clip_t_base"] = measures.clip_t(base[p], text)
                scores[p]["clip_t"] = measures.clip_t(customised[p], text)
                scores[p]["delta_clip_t"] = measures.delta_clip_t(customised[p], base[p], text)
    if using.segmenter is not None:
        by["Seg-Cons"] = f"SAM3, detections above {using.threshold:g}"
        for p, value in enumerate(_seg_cons(pictures, using, progress)):
            scores[p]["seg_cons"] = value
    return Report(pictures, tuple(Scores(**s) for s in scores), by, drift)


def _embed_rows(vision: ClipVisionModel, rows: Tensor, progress: NodeProgress) -> Tensor:
    """Embed images [P, S, H, W, 3], [P, S, D]."""
    flat = encoders.embed_images(vision, list(rows.flatten(0, 1)), progress.advance)
    return flat.reshape(*rows.shape[:2], -1)


def _seg_cons(pictures: ProtocolPictures, using: Encoders, progress: NodeProgress) -> list[float | None]:
    """Return a value per prompt, the mean over its seeds."""
    words = sorted({noun for row in using.nouns for noun in row})
    known = dict(zip(words, segments.encode_nouns(using.segmenter_clip, words), strict=True))
    out = []
    for p, row in enumerate(using.nouns):
        progress.say(f"Seg-Cons: prompt {p + 1} of {len(using.nouns)}, {', '.join(row)}")
        prompts, values = [known[noun] for noun in row], []
        for pair in zip(pictures.customised[p], pictures.base[p], strict=True):
            found = []
            for picture in pair:
                found.append(segments.masks(using.segmenter, picture, prompts, using.threshold))
                progress.advance()
            values.append(measures.seg_cons(*found))
        out.append(measures.mean_of(values))
    return out


def as_images(images: Sequence[Tensor]) -> list[Tensor]:
    """Split a list of IMAGEs, each a batch, into single images [h, w, 3].

    Raises:
        ValueError: there are none, or one is not an image.
    """
    out = []
    for image in images:
        if image.ndim != 4 or image.shape[-1] not in (1, 3, 4) or 0 in image.shape or not torch.isfinite(image).all():
            raise ValueError(
                f"A reference of shape {tuple(image.shape)} is not an image of finite numbers. Replace it."
            )
        out += list(opaque(image.float()))
    if not out:
        raise ValueError("There are no references. Connect the images that the concept was learned from.")
    return out
