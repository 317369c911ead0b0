"""Embed images and texts with encoders that the host's stock nodes loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from comfy.clip_vision import ClipVisionModel
from comfy.sd import CLIP
from comfy.sd1_clip import SDClipModel
from safetensors import safe_open
from torch import Tensor

from ...text.texts import prompt

TEXT_ENCODERS = {"clip_l": "l", "clip_g": "g", "clip_h": "h"}
"""CLIP text encoders of the host with their names among a prompt's tokens."""

BATCH = 8


def check_clip_vision(vision: ClipVisionModel) -> None:
    """Refuse anything but the image encoder of a CLIP.

    Raises:
        ValueError: it is a DINO or SigLIP model, or its file lacks the projection into the joint space.
    """
    if vision.model_type != "clip_vision_model" or "projection_dim" not in vision.config:
        raise ValueError(
            f"clip_vision is a {vision.model_type}, which shares no space with a CLIP text encoder. Connect a CLIP "
            "Vision model such as clip-vit-large-patch14; a DINO model goes to the input dino."
        )
    _check_weight(vision.model.visual_projection.weight, "clip_vision", "visual_projection")


def check_dino(vision: ClipVisionModel) -> None:
    """Refuse anything but a DINO model.

    Raises:
        ValueError: it is another model.
    """
    if not vision.model_type.startswith("dino"):
        raise ValueError(
            f"dino is a {vision.model_type}. Connect a CLIP Vision loader with a DINOv2 file (large or giant); a CLIP "
            "Vision model goes to the input clip_vision."
        )


def text_encoder(clip: CLIP, vision: ClipVisionModel) -> str:
    """Return the encoder of a CLIP that shares its space with a CLIP Vision model, a key of TEXT_ENCODERS.

    Raises:
        ValueError: none projects to the width of the CLIP Vision model, or its file lacks the projection.
    """
    width = vision.config["projection_dim"]
    widths = {}
    for name in TEXT_ENCODERS:
        encoder = getattr(clip.cond_stage_model, name, None)
        if isinstance(encoder, SDClipModel):
            projection = encoder.transformer.text_projection.weight
            widths[name] = projection.shape[0]
            if projection.shape[0] == width:
                _check_weight(projection, "clip", f"text_projection of {name}")
                _check_file(clip, tuple(projection.shape))
                return name
    have = ", ".join(f"{name} with {w}" for name, w in widths.items()) or "no CLIP text encoder"
    raise ValueError(
        f"clip_vision gives embeddings of {width} numbers and clip has {have}. Connect the text encoder of the same "
        "CLIP: load the file of clip_vision with Load CLIP."
    )


def embed_images(vision: ClipVisionModel, images: Sequence[Tensor], done: Callable[[int], None]) -> Tensor:
    """Embed images with the host's CLIP Vision, which takes the centre square of each.

    A CLIP gives the projection into the joint space; a DINO model the class token of the last layer after its norm. The
    host scales images to the encoder's own size: 224 pixels for CLIP ViT-L/14, 518 for DINOv2.

    Args:
        vision: CLIP_VISION.
        images: [H, W, 3 or more] each, in [0, 1]; sizes may differ.
        done: called with the number of images just embedded; an exception from it ends the work.

    Returns:
        [N, D], float32, CPU.
    """
    out: list[Tensor] = []
    start = 0
    while start < len(images):
        shape = images[start].shape
        batch = [images[start]]
        while len(batch) < BATCH and start + len(batch) < len(images) and images[start + len(batch)].shape == shape:
            batch.append(images[start + len(batch)])
        out.append(vision.encode_image(torch.stack(batch)[..., :3].float())["image_embeds"].float().cpu())
        start += len(batch)
        done(len(batch))
    return torch.cat(out)


def embed_texts(clip: CLIP, name: str, texts: Sequence[str]) -> Tensor:
    """Embed texts in CLIP's joint space: the projection of the encoder's end token.

    The host's own pooled output is not projected for CLIP-L alone and in SD3. Texts are cut to the encoder's 77 tokens,
    as in CLIP.

    Args:
        clip: CLIP.
        name: of its encoder, from `text_encoder`.
        texts: without [v].

    Returns:
        [N, D], float32, CPU.
    """
    encoder: SDClipModel = getattr(clip.cond_stage_model, name)
    out = []
    try:
        for text in texts:
            tokens = clip.tokenize(prompt(text, "x"))
            clip.load_model(tokens)
            clip.cond_stage_model.reset_clip_options()
            encoder.set_clip_options({"projected_pooled": True, "execution_device": clip.patcher.load_device})
            out.append(encoder.encode_token_weights(tokens[TEXT_ENCODERS[name]])[1].float().cpu())
    finally:
        clip.cond_stage_model.reset_clip_options()
    return torch.cat(out)


def describe(vision: ClipVisionModel) -> str:
    """Describe an encoder in words, for the record."""
    config = vision.config
    return (
        f"{vision.model_type}, {config['num_hidden_layers']} layers of {config['hidden_size']}, patch "
        f"{config['patch_size']}, {vision.image_size} pixels"
    )


def _check_weight(weight: Tensor, where: str, what: str) -> None:
    known = weight.detach().float()
    if not torch.isfinite(known).all() or not known.any():
        raise ValueError(f"The file that {where} was loaded from has no {what}. {_REMEDY}")


def _check_file(clip: CLIP, shape: tuple[int, ...]) -> None:
    """Check the file itself, because the host leaves a missing projection uninitialised."""
    loader = clip.patcher.cached_patcher_init
    first = loader[1][0] if loader is not None and loader[1] else ()
    files = [Path(f) for f in ([first] if isinstance(first, str) else first) if isinstance(f, str)]
    if not files or any(f.suffix not in (".safetensors", ".sft") or not f.is_file() for f in files):
        return
    for file in files:
        with safe_open(file, "pt") as opened:
            names = [k for k in opened.keys() if k.endswith(("text_projection", "text_projection.weight"))]  # noqa: SIM118
            if any(tuple(opened.get_slice(k).get_shape()) == shape for k in names):
                return
    raise ValueError(f"{', '.join(f.name for f in files)} has no text_projection. {_REMEDY}")


_REMEDY = (
    "Use a complete CLIP, such as model.safetensors of openai/clip-vit-large-patch14, both in models/clip_vision and "
    "in models/text_encoders; the commonly shared clip_l.safetensors lacks it."
)
