"""Measures of a protocol's pictures with whatever encoders the user has connected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from comfy.clip_vision import ClipVisionModel
from comfy.sd import CLIP
from torch import Tensor

from ..protocol import measures
from ..protocol.pictures import ProtocolPictures
from ..protocol.report import Report, Scores
from . import encoders, segments
from .latents import opaque
from .progress import NodeProgress


@dataclass(frozen=True)
class Encoders:
    """What measures; None is not connected and leaves its columns out.

    Attributes:
        clip_vision: for CLIP-I and, with clip, CLIP-T.
        clip: the text encoder of the same CLIP.
        dino: CLIP_VISION of a DINO model.
        segmenter: MODEL of SAM3, for Seg-Cons.
        segmenter_clip: its text encoder.
        nouns: what is segmented, a row a prompt.
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
        """Refuses what does not fit together.

        Raises:
            ValueError: names the input and the remedy.
        """
        if self.clip_vision is None and self.dino is None and self.segmenter is None:
            raise ValueError("Nothing is connected to measure with: connect clip_vision, dino or segmenter.")
        if self.clip_vision is not None:
            encoders.check_clip_vision(self.clip_vision)
        elif self.clip is not None:
            raise ValueError("clip is connected without clip_vision: CLIP-T needs both halves of a CLIP.")
        if self.clip is not None:
            encoders.text_encoder(self.clip, self.clip_vision)
        if self.dino is not None:
            encoders.check_dino(self.dino)
        if self.segmenter is not None:
            segments.check_segmenter(self.segmenter, self.segmenter_clip)
        elif self.segmenter_clip is not None:
            raise ValueError("segmenter_clip is connected without segmenter: connect a SAM3 checkpoint to both.")

    def parts(self, pictures: int, references: int) -> int:
        """How many pictures and references are looked at, for a bar."""
        known = [e for e in (self.clip_vision, self.dino) if e is not None]
        return len(known) * (pictures + references) + (pictures if self.segmenter is not None else 0)


def measure(
    pictures: ProtocolPictures,
    references: Sequence[Tensor],
    using: Encoders,
    progress: NodeProgress,
    drift: float | None = None,
) -> Report:
    """Everything that the encoders can tell of the pictures.

    Args:
        pictures: of both models.
        references: of the concept, [h, w, 3] each in [0, 1].
        using: checked with `Encoders.check`.
        progress: on the node; its parts are those of `Encoders.parts`.
        drift: velocity drift, to stand in the report.
    """
    count = len(pictures.prompts)
    scores: list[dict] = [{} for _ in range(count)]
    by: dict[str, str] = {}
    for column, vision in (("CLIP-I", using.clip_vision), ("DINO", using.dino)):
        if vision is None:
            continue
        progress.say(f"{column}: looking at {len(references)} references and {2 * count} rows of pictures")
        known = encoders.embed_pictures(vision, references, progress.advance)
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
    """[P, S, D] of [P, S, H, W, 3]."""
    flat = encoders.embed_pictures(vision, list(rows.flatten(0, 1)), progress.advance)
    return flat.reshape(*rows.shape[:2], -1)


def _seg_cons(pictures: ProtocolPictures, using: Encoders, progress: NodeProgress) -> list[float | None]:
    """A value a prompt, the mean over its seeds."""
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


def as_pictures(images: Sequence[Tensor]) -> list[Tensor]:
    """Single pictures [h, w, 3] of a list of IMAGEs, each a batch.

    Raises:
        ValueError: there are none, or one is not a picture.
    """
    out = []
    for image in images:
        if image.ndim != 4 or image.shape[-1] not in (1, 3, 4) or 0 in image.shape or not torch.isfinite(image).all():
            raise ValueError(f"A reference has shape {tuple(image.shape)} or holds no numbers, so it is no picture.")
        out += list(opaque(image.float()))
    if not out:
        raise ValueError("There are no references: connect the pictures that the concept was learned from.")
    return out
