"""Segment the nouns of a prompt with the host's SAM3."""

from __future__ import annotations

from collections.abc import Sequence

import comfy.utils
import torch
from comfy import model_management
from comfy.ldm.sam3.detector import SAM3Model
from comfy.sd import CLIP
from torch import Tensor

SIDE = 1008
"""Side of SAM3's input, in pixels."""


def check_segmenter(model, clip: CLIP | None) -> None:
    """Refuse anything but SAM3 with its text encoder.

    Raises:
        ValueError: the model or the CLIP is of another kind.
    """
    network = getattr(model.model, "diffusion_model", None)
    if not isinstance(network, SAM3Model):
        raise ValueError(
            f"segmenter is a model of kind {type(model.model).__name__}. Connect the MODEL of a SAM3 checkpoint, "
            "such as sam3.1_multiplex_fp16.safetensors."
        )
    if clip is None or not hasattr(clip.cond_stage_model, "sam3_clip"):
        raise ValueError("segmenter_clip is not SAM3's text encoder. Connect the CLIP of the same SAM3 checkpoint.")


def encode_nouns(clip: CLIP, nouns: Sequence[str]) -> list[tuple[Tensor, Tensor]]:
    """Encode SAM3's prompts: (embeddings [1, N, D], attention mask [1, N]) for each noun."""
    out = []
    for noun in nouns:
        given = clip.encode_from_tokens(clip.tokenize(noun), return_pooled=True, return_dict=True)
        out.append((given["cond"], given["attention_mask"]))
    return out


def masks(model, image: Tensor, nouns: Sequence[tuple[Tensor, Tensor]], threshold: float = 0.5) -> Tensor:
    """Return the mask of each noun in an image: the union of the detections above the threshold.

    Equals the stock node SAM3 Detect without a limit on detections and without refinement.

    Args:
        model: MODEL of SAM3.
        image: [H, W, 3], in [0, 1].
        nouns: from `encode_nouns`.
        threshold: minimum probability of a detection.

    Returns:
        [K, H, W] bool, CPU.
    """
    model_management.load_model_gpu(model)
    device, dtype = model.load_device, model.model.get_dtype()
    size = tuple(image.shape[:2])
    frame = comfy.utils.common_upscale(image[None, ..., :3].movedim(-1, 1), SIDE, SIDE, "bilinear", crop="disabled")
    frame = frame.to(device=device, dtype=dtype)
    out = []
    for embeddings, mask in nouns:
        found = model.model.diffusion_model(
            frame,
            text_embeddings=embeddings.to(device=device, dtype=dtype),
            text_mask=mask.to(device),
            threshold=threshold,
            orig_size=size,
        )
        kept = found["masks"][0][found["scores"][0].sigmoid() > threshold]
        out.append((kept > 0).any(dim=0).cpu())
    return torch.stack(out)
