"""What training leaves: a LoRA, the concept's embedding, and what they say of themselves."""

# SPDX-License-Identifier: GPL-3.0-or-later

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone

import torch
from torch import Tensor

from .texts import ConceptTexts, trigger_words, validate_name

LAYERS_KEY = "purecc_layers"  # sorts after clip_g and clip_l: the host gives T5 the first tensor, and drops one token

_LORA_KEY = re.compile(r"(diffusion_model\..+)\.(lora_up\.weight|lora_down\.weight|alpha)")


@dataclass(frozen=True, eq=False)
class Adapter:
    """What training leaves.

    Attributes:
        kind: "adapter" (stage 2 and the baselines) or "extractor" (stage 1).
        name: a prompt calls the concept by `embedding:NAME`.
        lora: `diffusion_model.X.lora_up.weight` [out, r], `.lora_down.weight` [r, in] and `.alpha` [] per module X.
        tokens: input tokens per text encoder, "clip_l" and "clip_g": [n, width]; empty where none were trained.
        layers: layer-wise vectors [L, hidden], or None. Like the tokens they are part of the embedding: one dtype.
        metadata: see `metadata`.

    Raises:
        ValueError: a name, key, shape or dtype other than these, or a value that is not finite.
    """

    kind: str
    name: str
    lora: Mapping[str, Tensor]
    tokens: Mapping[str, Tensor]
    layers: Tensor | None
    metadata: Mapping[str, str]

    def __post_init__(self):
        if self.kind not in ("adapter", "extractor"):
            raise ValueError(f"Unknown kind of adapter {self.kind!r}: use 'adapter' or 'extractor'.")
        validate_name(self.name)
        _check_lora(self.lora)
        _check_embedding(self.embedding)
        for key, tensor in {**self.lora, **self.embedding}.items():
            if not tensor.is_floating_point() or not tensor.isfinite().all():
                raise ValueError(f"{key} holds values that are not finite numbers: train again with a lower rate.")

    @property
    def embedding(self) -> dict[str, Tensor]:
        """The tensors of the embedding file."""
        return dict(self.tokens) | ({} if self.layers is None else {LAYERS_KEY: self.layers})

    @property
    def id(self) -> str:
        """A hash of all the tensors, hexadecimal."""
        return fingerprint({**self.lora, **self.embedding})

    @property
    def needs_apply(self) -> bool:
        """Whether stock loaders are not enough, since nothing in the host reads layer-wise vectors."""
        return self.layers is not None


def metadata(
    name: str,
    *,
    architecture: str,
    base_model: str,
    class_word: str,
    concept: str,
    recipe: Mapping,
    texts: Sequence[ConceptTexts],
    report: Mapping,
    versions: Mapping[str, str],
    date: datetime | None = None,
) -> dict[str, str]:
    """Describes an adapter in the fields of modelspec 1.0.0 and in our own, all strings.

    Args:
        name: the adapter's.
        architecture: as modelspec names it, such as "stable-diffusion-v3-medium/lora".
        base_model: the name of the model it was trained on.
        class_word: what the concept is one of.
        concept: "instance" or "style".
        recipe: every setting of the run, as JSON can hold it.
        texts: of the training pictures.
        report: how the run went, "steps" and more, as JSON can hold it.
        versions: of the pack, torch and the host.
        date: when it was trained; now if not given.
    """
    date = date or datetime.now(timezone.utc)
    return {
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": architecture,
        "modelspec.implementation": "https://github.com/comfyanonymous/ComfyUI",
        "modelspec.title": name,
        "modelspec.date": date.isoformat(timespec="seconds"),
        "modelspec.trigger_phrase": trigger_words(class_word, name),
        "purecc.base_model": base_model,
        "purecc.class_word": class_word,
        "purecc.concept": concept,
        "purecc.recipe": json.dumps(recipe),
        "purecc.steps": str(report["steps"]),
        "purecc.texts": json.dumps([asdict(text) for text in texts]),
        "purecc.report": json.dumps(report),
        "purecc.versions": json.dumps(versions),
    }


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """Returns the SHA-256 of the tensors with their names, dtypes and shapes, whatever their order and device."""
    digest = hashlib.sha256()
    for key, tensor in sorted(tensors.items()):
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _check_lora(lora: Mapping[str, Tensor]) -> None:
    modules: dict[str, dict[str, Tensor]] = {}
    for key, tensor in lora.items():
        match = _LORA_KEY.fullmatch(key)
        if not match:
            raise ValueError(f"{key!r} is not a LoRA key of the form diffusion_model.MODULE.lora_up.weight.")
        modules.setdefault(match[1], {})[match[2]] = tensor
    if not modules:
        raise ValueError("The LoRA is empty.")
    for module, parts in modules.items():
        up, down, alpha = (parts.get(part) for part in ("lora_up.weight", "lora_down.weight", "alpha"))
        if up is None or down is None:
            raise ValueError(f"The LoRA of {module} lacks lora_up.weight or lora_down.weight.")
        if up.ndim != 2 or down.ndim != 2 or up.shape[1] != down.shape[0]:
            shapes = f"{tuple(up.shape)} and {tuple(down.shape)}"
            raise ValueError(
                f"The LoRA of {module} has lora_up and lora_down of shapes {shapes}, not [out, r], [r, in]."
            )
        if alpha is not None and alpha.numel() != 1:
            raise ValueError(f"The LoRA of {module} has an alpha of shape {tuple(alpha.shape)}, not one number.")


def _check_embedding(embedding: Mapping[str, Tensor]) -> None:
    for key, tensor in embedding.items():
        if key not in ("clip_l", "clip_g", LAYERS_KEY):
            raise ValueError(f"Unknown text encoder {key!r}: embeddings are for 'clip_l' and 'clip_g'.")
        if tensor.ndim != 2 or 0 in tensor.shape:
            raise ValueError(f"The embedding {key} has shape {tuple(tensor.shape)}, not [vectors, width].")
    if len({tensor.dtype for tensor in embedding.values()}) > 1:
        raise ValueError("Tokens and layer-wise vectors must have one dtype.")
    if len({len(tensor) for key, tensor in embedding.items() if key != LAYERS_KEY}) > 1:
        raise ValueError("The text encoders must have the same number of tokens, or their texts shift apart.")
