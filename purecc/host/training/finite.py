"""Find the first tensor or setting of a run that is not finite."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from ...network.field import Conditioning
from ...text.spelling import not_finite
from ...training.dataset import ConceptDataset, ConceptItem
from .assembly import Assembly
from .identity import INPUTS
from .job import Job


def check_settings(job: Job) -> None:
    """Check that every number of a job is finite.

    Raises:
        ValueError: one is not; names it.
    """
    groups = {"recipe": job.recipe.describe(), "lora": asdict(job.lora), "settings": asdict(job.settings)}
    for group in groups.values():
        for name, value in group.items():
            if isinstance(value, float) and not math.isfinite(value):
                told = INPUTS.get(name, name)
                raise ValueError(f"The setting {told} is {value}, which is not a finite number. Set it to a number.")


def check_images(dataset: ConceptDataset) -> None:
    """Check that latents and masks of the references are finite.

    Raises:
        ValueError: one is not; names the image by its number and caption.
    """
    for number, item in enumerate(dataset.items, start=1):
        for what, tensor in (("latent", item.latents), ("mask", item.mask)):
            if tensor is not None and (count := _wrong(tensor)):
                raise ValueError(
                    f"The {what} of image {number} ({item.texts.complete!r}) has {not_finite(count)}. "
                    + (
                        "Load the VAE in float32 or bfloat16, or use another VAE."
                        if what == "latent"
                        else "Connect another mask."
                    )
                )


def require_finite(assembly: Assembly, words: str, tensor: Tensor) -> Tensor:
    """Return a tensor that the base model gave, if all of it is finite.

    Raises:
        ValueError: it is not; names it, and the first encoding or weight that is not.
    """
    if count := _wrong(tensor):
        cause = first_not_finite(assembly, ()) or "Load the model in another precision."
        raise ValueError(f"The base model gave {not_finite(count)} for {words}. {cause}")
    return tensor


def first_not_finite(assembly: Assembly, pool: Iterable[ConceptItem]) -> str | None:
    """Return in words which encoding, weight or generated image is not finite first; None where all are.

    Args:
        assembly: what takes part, after a first step that gave no finite number.
        pool: images of the base model.
    """
    for words, tensor, advice in _everything(assembly, pool):
        if count := _wrong(tensor):
            return f"The cause: {words} has {not_finite(count)}. {advice}"
    return None


def _everything(assembly: Assembly, pool: Iterable[ConceptItem]) -> Iterator[tuple[str, Tensor, str]]:
    for text, y in assembly.prompts.known.items():
        for name, tensor in _tensors(y).items():
            advice = "Load the text encoders in another precision, or from another file."
            yield f"the encoding of {text!r} ({name})", tensor, advice
    module = assembly.field.module
    named: Mapping[str, Tensor] = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    for name, tensor in named.items():
        if ".lora_" not in name:
            plain = name.replace(".base_layer", "")
            yield f"the model's weight {plain}", tensor, "The file of the model is damaged, or a patch on it is."
    for name, tensor in named.items():
        if ".lora_" in name:
            yield f"the LoRA's weight {name}", tensor, "Load another extractor or adapter."
    for number, item in enumerate(pool, start=1):
        yield f"image {number} of the pool ({item.texts.base!r})", item.latents, "Load the model in another precision."


def _tensors(y: Conditioning) -> dict[str, Tensor]:
    out: dict[str, Any] = {"text": y.context}
    for fields in y.fields:
        out |= fields
    return {name: value for name, value in out.items() if torch.is_tensor(value)}


@torch.no_grad()
def _wrong(tensor: Tensor) -> int:
    """Return how many numbers of a tensor are not finite."""
    if not tensor.is_floating_point():
        return 0
    if type(tensor) not in (Tensor, torch.nn.Parameter) and hasattr(tensor, "dequantize"):
        tensor = tensor.dequantize()
    if tensor.element_size() == 1:
        tensor = tensor.float()
    return int((~tensor.isfinite()).sum())
