"""The identity of a run: hashes of everything that decides what it learns."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from ...adapters.adapter import fingerprint
from ...adapters.files import Adapter
from ...network.field import Conditioning
from ...text.texts import has_marker
from ...training.companions import described
from ...training.dataset import ConceptDataset
from ..models.field import HostField
from .job import Job

SAMPLED = 256
"""Numbers of a weight that are hashed with their places; a sum over its bits covers the others."""

INPUTS = {
    "batch": "batch_size",
    "lr": "learning_rate",
    "embedding_lr": "embedding_learning_rate",
    "warmup": "warmup_steps",
    "clip": "clip_norm",
    "density": "timesteps",
    "shift": "timestep_shift",
    "targets": "target_layers",
    "images": "pool_images",
    "prompts": "pool_prompts",
}
"""What the nodes call fields of a job that have another name there."""


@dataclass(frozen=True)
class Identity:
    """Hashes of what a run is made of; two runs of one identity learn the same.

    Attributes:
        base: of the base model, see `base_hash`.
        texts: of the encodings of all texts without [v].
        images: of each reference with its caption, in the order of their content.
        masks: of the masks that came with them.
        extractor: id of the extractor, or "".
        train_on: id of the adapter that training goes on from, or "".
        settings: every setting that decides what is learned, JSON values by name.
    """

    base: str
    texts: str
    images: tuple[str, ...]
    masks: str
    extractor: str
    train_on: str
    settings: Mapping[str, Any]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Identity:
        """Return the identity that `asdict` and JSON made a dict of."""
        return cls(**{**data, "images": tuple(data["images"])})

    @property
    def key(self) -> str:
        """A hash of all of it, hexadecimal."""
        return digest(asdict(self))

    def differences(self, now: Identity, without: Iterable[str] = ()) -> list[str]:
        """Return in words what another identity has that this one has not.

        Args:
            now: of the run at hand.
            without: settings and attributes that may differ.
        """
        out = []
        for name, words in (
            ("base", "the base model is another"),
            ("texts", "the text encoders are others"),
            ("masks", "the masks are others"),
            ("extractor", "the extractor is another"),
            ("train_on", "train_on is another"),
        ):
            if name not in without and getattr(self, name) != getattr(now, name):
                out.append(words)
        if others := len(set(now.images) ^ set(self.images)):
            out.insert(0, f"{others} images or captions are others")
        for key in sorted(self.settings.keys() | now.settings.keys()):
            was, is_ = self.settings.get(key), now.settings.get(key)
            if was != is_ and key not in without:
                name = key.rpartition(".")[2]
                out.append(f"{INPUTS.get(name, name)} was {_short(was)} and is {_short(is_)}")
        return out


def identify(
    base: str,
    encodings: Iterable[tuple[str, Conditioning]],
    dataset: ConceptDataset,
    job: Job,
    extractor: Adapter | None = None,
    train_on: Adapter | None = None,
) -> Identity:
    """Return the identity of a run.

    Args:
        base: see `base_hash`.
        encodings: of every text of the job.
        dataset: the references, with the masks that came with them.
        job: what to train, resolved.
        extractor: θ1.
        train_on: the adapter that training goes on from.
    """
    items = dataset.by_content().items
    known = {f"{k}": item.mask for k, item in enumerate(items) if item.mask is not None}
    images = tuple(
        digest([asdict(item.texts), item.weight, fingerprint({"latents": item.latents})])[:16] for item in items
    )
    plain = [(text, y) for text, y in encodings if not has_marker(text)]  # others hold the vectors at their start
    return Identity(
        base,
        encodings_hash(plain),
        images,
        fingerprint(known),
        "" if extractor is None else extractor.id,
        "" if train_on is None else train_on.id,
        {"name": job.name, "concept": dataset.kind, "class_word": dataset.class_word, **_settings(job)},
    )


def digest(value: Any) -> str:
    """Return the SHA-256 of a JSON value, hexadecimal."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=list).encode()).hexdigest()


def encodings_hash(encodings: Iterable[tuple[str, Conditioning]]) -> str:
    """Return a hash of texts with their encodings, hexadecimal."""
    out = hashlib.sha256()
    for text, y in sorted(encodings, key=lambda pair: pair[0]):
        tensors = {"context": y.context, "marks": y.marks}
        for fields in y.fields:
            tensors |= {name: value for name, value in fields.items() if torch.is_tensor(value)}
        out.update(f"{text}\n{fingerprint(tensors)}\n".encode())
    return out.hexdigest()


@torch.no_grad()
def base_hash(field: HostField) -> str:
    """Return a hash of a private copy's base weights and noise path, before positions are left out of it.

    Every weight counts with a sum over its bits and with `SAMPLED` of its numbers, so that gigabytes take a moment.
    """
    out = hashlib.sha256(f"{type(field.base).__name__} {field.dtype}".encode())
    for name, value in sorted(vars(field.path).items()):
        out.update(f"{name} {value.tolist() if torch.is_tensor(value) else value}".encode())
    module = field.module
    named = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    for name, tensor in sorted(named.items()):
        if ".lora_" in name:
            continue
        out.update(f"{name.replace('.base_layer', '')} {tensor.dtype} {tuple(tensor.shape)}".encode())
        for part in _parts(tensor):
            flat = part.detach().contiguous().reshape(-1).view(torch.uint8)
            wide = flat.view(torch.int32) if flat.numel() % 4 == 0 else flat
            sampled = wide[:: max(1, wide.numel() // SAMPLED)].long()
            out.update(torch.cat([wide.sum(dtype=torch.int64).view(1), sampled]).cpu().numpy().tobytes())
    return out.hexdigest()


def _parts(tensor: Tensor) -> Iterator[Tensor]:
    """Yield the plain tensors that a quantised one is made of, or a plain one itself."""
    flatten = getattr(tensor, "__tensor_flatten__", None)
    if flatten is None or type(tensor) in (Tensor, torch.nn.Parameter):
        yield tensor
        return
    for name in flatten()[0]:
        yield from _parts(getattr(tensor, name))


def _settings(job: Job) -> dict[str, Any]:
    """Return the settings of a job that decide what is learned and what its history holds, flat."""
    groups = {
        "recipe": job.recipe.describe(),
        "lora": asdict(job.lora),
        "settings": asdict(job.settings),
        "embedding": asdict(job.embedding),
        "pool": _pool(job),
        "watch": {"drift_every": job.watch.drift_every, "drift_prompts": job.watch.drift_prompts},
    }
    flat = {f"{group}.{name}": value for group, values in groups.items() for name, value in values.items()}
    flat |= {"kind": job.kind, "precision": job.memory.precision, "loss_weighting": job.weighting}
    flat |= asdict(job.references) | {"companion": described(job.references.companion)}
    return json.loads(json.dumps(flat))


def _pool(job: Job) -> dict[str, Any]:
    recipe, known = job.recipe, asdict(job.pool)
    captions = {"captions": known.pop("captions")}
    del known["grounds"], known["styles"]  # the captions tell them
    return (known if recipe.needs_pool else {}) | (captions if recipe.needs_class_images else {})


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:39]}…"
