"""Embeddings of pictures and texts by encoders that the host's stock nodes loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from comfy.clip_vision import ClipVisionModel
from comfy.sd import CLIP
from comfy.sd1_clip import SDClipModel
from safetensors import safe_open
from torch import Tensor

from ..texts import prompt

TEXT_ENCODERS = {"clip_l": "l", "clip_g": "g", "clip_h": "h"}
"""The CLIP text encoders of the host with their names among a prompt's tokens."""

BATCH = 8


def check_clip_vision(vision: ClipVisionModel) -> None:
    """Refuses what is not the picture half of a CLIP.

    Raises:
        ValueError: it is a DINO or SigLIP model, or its projection into the joint space was not in its file.
    """
    if vision.model_type != "clip_vision_model" or "projection_dim" not in vision.config:
        raise ValueError(
            f"clip_vision is a {vision.model_type}, which has no joint space with a CLIP text encoder. Connect a CLIP "
            "Vision model such as clip-vit-large-patch14; a DINO model goes to the input dino."
        )
    _check_weight(vision.model.visual_projection.weight, "clip_vision", "visual_projection")


def check_dino(vision: ClipVisionModel) -> None:
    """Refuses what is not a DINO model.

    Raises:
        ValueError: names what was connected and what belongs there.
    """
    if not vision.model_type.startswith("dino"):
        raise ValueError(
            f"dino is a {vision.model_type}. Connect a CLIP Vision loader with a DINOv2 file (large or giant); a CLIP "
            "Vision model goes to the input clip_vision."
        )


def text_encoder(clip: CLIP, vision: ClipVisionModel) -> str:
    """Which encoder of a CLIP shares its joint space with a CLIP Vision model, as a key of TEXT_ENCODERS.

    Raises:
        ValueError: none projects to the width of the CLIP Vision model, or its projection was not in its file.
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
        "CLIP: the loader Load CLIP with the file that clip_vision was loaded from."
    )


def embed_pictures(vision: ClipVisionModel, pictures: Sequence[Tensor], done: Callable[[int], None]) -> Tensor:
    """One embedding a picture, as the host's CLIP Vision makes it from the picture's middle square.

    For a CLIP that is the projection into the joint space; for a DINO model the class token of the last layer after its
    norm. The host scales pictures to the encoder's own size: 224 pixels for CLIP ViT-L/14, 518 for DINOv2.

    Args:
        vision: CLIP_VISION.
        pictures: of [H, W, 3 or more] each, in [0, 1]; sizes may differ.
        done: told how many pictures were just embedded; an exception from it ends the work.

    Returns:
        [N, D], float32, CPU.
    """
    out: list[Tensor] = []
    start = 0
    while start < len(pictures):
        shape = pictures[start].shape
        batch = [pictures[start]]
        while len(batch) < BATCH and start + len(batch) < len(pictures) and pictures[start + len(batch)].shape == shape:
            batch.append(pictures[start + len(batch)])
        out.append(vision.encode_image(torch.stack(batch)[..., :3].float())["image_embeds"].float().cpu())
        start += len(batch)
        done(len(batch))
    return torch.cat(out)


def embed_texts(clip: CLIP, name: str, texts: Sequence[str]) -> Tensor:
    """One embedding a text in CLIP's joint space: what its encoder has at the end token, projected.

    The host's own pooled output will not do: for CLIP-L alone and in SD3 it is not projected. Texts beyond the
    encoder's 77 tokens are cut, as in CLIP.

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
    """An encoder in words, for the record."""
    config = vision.config
    return (
        f"{vision.model_type}, {config['num_hidden_layers']} layers of {config['hidden_size']}, patch "
        f"{config['patch_size']}, {vision.image_size} pixels"
    )


def _check_weight(weight: Tensor, where: str, what: str) -> None:
    known = weight.detach().float()
    if not torch.isfinite(known).all() or not known.any():
        raise ValueError(f"The {what} was not in the file that {where} was loaded from. {_REMEDY}")


def _check_file(clip: CLIP, shape: tuple[int, ...]) -> None:
    """The host leaves a projection that a file lacks at whatever was in memory, so the file itself is asked."""
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
    "The files clip_l.safetensors that go round lack it. Use the whole CLIP, such as model.safetensors of "
    "openai/clip-vit-large-patch14, both in models/clip_vision and in models/text_encoders."
)
