"""Hold what training produces: a LoRA, the concept's embedding and their metadata."""

# SPDX-License-Identifier: GPL-3.0-or-later

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone

import torch
from torch import Tensor

from ..text.concept import Concept
from ..text.texts import ConceptTexts, trigger_words, validate_name

ABOUT_ID = "purecc.about_id"
"""Key of the hash of this pack's metadata."""
LAYERS_KEY = "purecc_layers"  # sorts after clip_g and clip_l: the host gives T5 the first tensor, and drops one token

ENCODERS = (
    *("clip_l", "clip_g", "clip_h", "t5xxl", "umt5xxl", "pile_t5xl", "mt5xl", "hydit_clip", "llama"),
    *("qwen25_7b", "qwen25_3b", "qwen3_06b", "qwen3_2b", "qwen3_4b", "qwen3_8b", "qwen3vl_4b", "qwen3vl_8b"),
    *("gemma2_2b", "gemma3_4b", "mistral3_24b", "ministral3_3b", "gemma"),
)
"""Text encoders that a token can be trained for; where the host looks up `embedding:`, by these names."""

CARRIED_KEY = "purecc.carried_by"
"""In the metadata, what stands for [v] in prompts, such as "trigger word"."""

TEXT_KEY = re.compile(r"(lora_te|lora_prior_te|text_encoder|te\d*[._])")
"""Start of the keys of a LoRA of text encoders, in any format."""

_LORA_KEY = re.compile(r"(diffusion_model\..+)\.(lora_up\.weight|lora_down\.weight|alpha)")


@dataclass(frozen=True, eq=False)
class Adapter:
    """A LoRA with the embedding of its concept.

    Attributes:
        kind: "adapter" (stage 2 and the baselines) or "extractor" (stage 1).
        name: prompts name the concept by `embedding:NAME`, or by the name alone if there are no tokens.
        lora: `diffusion_model.X.lora_up.weight` [out, r], `.lora_down.weight` [r, in] and `.alpha` [] per module X.
        tokens: input tokens per text encoder, see ENCODERS: [n, width]; empty if the name is a trigger word.
        layers: layer-wise vectors [L, hidden], or None; part of the embedding like the tokens, with the same dtype.
        metadata: see `metadata`.
        text_lora: LoRA of text encoders, from another program's file and under its keys; training makes none.
        picture: PNG shown for the adapter, see `picture.shown_for`; no part of its id.

    Raises:
        ValueError: another name, key, shape or dtype, or a value that is not finite.
    """

    kind: str
    name: str
    lora: Mapping[str, Tensor]
    tokens: Mapping[str, Tensor]
    layers: Tensor | None
    metadata: Mapping[str, str]
    text_lora: Mapping[str, Tensor] = field(default_factory=dict)
    picture: bytes | None = None

    def __post_init__(self):
        if self.kind not in ("adapter", "extractor"):
            raise ValueError(f"Unknown kind of adapter {self.kind!r}. Use 'adapter' or 'extractor'.")
        validate_name(self.name)
        _check_lora(self.lora)
        _check_embedding(self.embedding)
        if wrong := [key for key in self.text_lora if not TEXT_KEY.match(key)]:
            raise ValueError(
                f"{wrong[0]!r} is no key of a LoRA of text encoders. Name keys as in lora_te1_MODULE.alpha."
            )
        for key, tensor in {**self.lora, **self.text_lora, **self.embedding}.items():
            if not tensor.is_floating_point() or not tensor.isfinite().all():
                raise ValueError(
                    f"{key} contains values that are not finite numbers. Train again with a lower learning rate."
                )

    @property
    def embedding(self) -> dict[str, Tensor]:
        """The tensors of the embedding file."""
        return dict(self.tokens) | ({} if self.layers is None else {LAYERS_KEY: self.layers})

    @property
    def id(self) -> str:
        """A hash of all the tensors, hexadecimal."""
        return fingerprint({**self.lora, **self.text_lora, **self.embedding})

    @property
    def needs_apply(self) -> bool:
        """Whether Apply Adapter is needed: nothing in the host reads layer-wise vectors, or finds some tokens."""
        return self.layers is not None or "Apply Adapter" in self.metadata.get(CARRIED_KEY, "")


@dataclass(frozen=True)
class RunRecord:
    """The record of the run that made an adapter, for its metadata.

    Attributes:
        architecture: of the adapter in modelspec, such as "stable-diffusion-v3-medium/lora".
        base_model: the name of the base model.
        recipe: every setting of the run, JSON values.
        report: how the run went, "steps" and more, JSON values.
        versions: of the pack, torch and the host.
        embedding: whether prompts name the concept by `embedding:NAME`, or by the name alone.
        date: when it was trained.
    """

    architecture: str
    base_model: str
    recipe: Mapping
    report: Mapping
    versions: Mapping[str, str]
    embedding: bool = True
    date: datetime = field(default_factory=lambda: datetime.now(timezone.utc))


def metadata(name: str, concept: Concept, texts: Sequence[ConceptTexts], run: RunRecord) -> dict[str, str]:
    """Return the metadata of an adapter, in the fields of modelspec 1.0.0 and our own, all strings.

    Args:
        name: of the adapter.
        concept: what was learned.
        texts: of the training images.
        run: how it was trained.
    """
    return {
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": run.architecture,
        "modelspec.implementation": "https://github.com/comfyanonymous/ComfyUI",
        "modelspec.title": name,
        "modelspec.date": run.date.isoformat(timespec="seconds"),
        "modelspec.trigger_phrase": trigger_words(concept.class_word, name, run.embedding),
        "purecc.base_model": run.base_model,
        "purecc.class_word": concept.class_word,
        "purecc.concept": concept.kind,
        "purecc.recipe": json.dumps(run.recipe),
        "purecc.steps": str(run.report["steps"]),
        "purecc.texts": json.dumps([asdict(text) for text in texts]),
        "purecc.report": json.dumps(run.report),
        "purecc.versions": json.dumps(run.versions),
        ABOUT_ID: "",
    }


def about_id(about: Mapping[str, str]) -> str:
    """Return a hash of this pack's own metadata, the same for LoRA and embedding, hexadecimal."""
    own = {k: v for k, v in about.items() if k.startswith("purecc.") and k not in (ABOUT_ID, "purecc.part")}
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()


def signed(about: Mapping[str, str]) -> dict[str, str]:
    """Return metadata with the hash that guards them; those of files from before there was one stay without."""
    return {**about, ABOUT_ID: about_id(about)} if ABOUT_ID in about else dict(about)


def is_changed(about: Mapping[str, str]) -> bool:
    """Return whether metadata were changed since they were saved."""
    return bool(about.get(ABOUT_ID)) and about[ABOUT_ID] != about_id(about)


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of tensors with their names, dtypes and shapes, independent of order and device."""
    digest = hashlib.sha256()
    for key, tensor in sorted(tensors.items()):
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def check_scales(lora: Mapping[str, Tensor]) -> None:
    """Refuse a LoRA without alpha, or of several ranks: stage 2 scales all modules of an extractor alike.

    Raises:
        ValueError: it is one; names the modules.
    """
    ranks: dict[int, str] = {}
    for key, tensor in lora.items():
        module = key.removesuffix(".lora_down.weight")
        if module != key:
            if f"{module}.alpha" not in lora:
                raise ValueError(f"The LoRA of {module} has no alpha. Use the file as PureCC saved it.")
            ranks[len(tensor)] = module
    if len(ranks) > 1:
        found = ", ".join(f"{rank} in {module}" for rank, module in sorted(ranks.items()))
        raise ValueError(f"The LoRA has different ranks ({found}). Use the file as PureCC saved it, with one rank.")


def _check_lora(lora: Mapping[str, Tensor]) -> None:
    modules: dict[str, dict[str, Tensor]] = {}
    for key, tensor in lora.items():
        match = _LORA_KEY.fullmatch(key)
        if not match:
            raise ValueError(f"{key!r} is not a LoRA key. Name keys as in diffusion_model.MODULE.lora_up.weight.")
        modules.setdefault(match[1], {})[match[2]] = tensor
    if not modules:
        raise ValueError("The LoRA has no tensors. Train it again.")
    for module, parts in modules.items():
        up, down, alpha = (parts.get(part) for part in ("lora_up.weight", "lora_down.weight", "alpha"))
        if up is None or down is None:
            raise ValueError(f"The LoRA of {module} lacks lora_up.weight or lora_down.weight. Train it again.")
        if up.ndim != 2 or down.ndim != 2 or up.shape[1] != down.shape[0]:
            shapes = f"{tuple(up.shape)} and {tuple(down.shape)}"
            raise ValueError(
                f"The LoRA of {module} has lora_up and lora_down of shapes {shapes}. They must be [out, r] and [r, in]."
            )
        if alpha is not None and alpha.numel() != 1:
            raise ValueError(f"The LoRA of {module} has an alpha of shape {tuple(alpha.shape)}. It must be one number.")


def _check_embedding(embedding: Mapping[str, Tensor]) -> None:
    for key, tensor in embedding.items():
        if key not in (*ENCODERS, LAYERS_KEY):
            raise ValueError(f"Unknown text encoder {key!r}. Embeddings are for {', '.join(ENCODERS)}.")
        if tensor.ndim != 2 or 0 in tensor.shape:
            raise ValueError(f"The embedding {key} has shape {tuple(tensor.shape)}. It must be [vectors, width].")
    if len({tensor.dtype for tensor in embedding.values()}) > 1:
        raise ValueError("Tokens and layer-wise vectors have different dtypes. Give them one dtype.")
    if len({len(tensor) for key, tensor in embedding.items() if key != LAYERS_KEY}) > 1:
        raise ValueError("The text encoders have different numbers of tokens. Give them the same number of tokens.")
