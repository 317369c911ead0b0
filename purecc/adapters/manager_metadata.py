"""Describe an adapter to LoRA managers: the metadata that kohya's sd-scripts writes, all strings."""

# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TrainedOn:
    """What an adapter was trained on.

    Attributes:
        base_model: file name of the base model.
        base_version: its family, `ss_base_model_version`.
        captions: of each training image, as a prompt would say it.
        repeats: how often each image is shown for each time that one of 1 is.
        size: (width, height) of most images, pixels.
    """

    base_model: str
    base_version: str
    captions: Sequence[str]
    repeats: Sequence[int]
    size: tuple[int, int]


def manager_metadata(name: str, trained: TrainedOn, values: Mapping[str, Any]) -> dict[str, str]:
    """Return the `ss_` fields of an adapter.

    Args:
        name: of the adapter.
        trained: what it was trained on.
        values: further fields without their prefix, such as "steps".
    """
    tags: Counter[str] = Counter()
    for caption, repeats in zip(trained.captions, trained.repeats, strict=True):
        for tag in filter(None, (part.strip() for part in caption.split(","))):
            tags[tag] += repeats
    folder = {"n_repeats": 1, "img_count": len(trained.captions)}
    fields = {
        "output_name": name,
        "sd_model_name": trained.base_model,
        "base_model_version": trained.base_version,
        "v2": trained.base_version.startswith("sd-v2"),
        "network_module": "networks.lora",
        "network_args": json.dumps({}),
        "num_train_images": sum(trained.repeats),
        "resolution": trained.size,
        "tag_frequency": json.dumps({name: dict(tags.most_common())}),
        "dataset_dirs": json.dumps({name: folder}),
        **values,
    }
    return {f"ss_{field}": str(value) for field, value in fields.items()}
