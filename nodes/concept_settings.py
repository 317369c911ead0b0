"""What the training nodes ask of the vectors that stand for the concept."""

from __future__ import annotations

from comfy_api.latest import io

from ..purecc.host.models.carrying import AUTO, CHOICES
from .settings import Setting, Table

EMBEDDING: Table = [
    Setting(
        io.Boolean.Input(
            "input_token",
            default=True,
            tooltip="Train the token that stands for [v] in the text encoders (see concept_by). Off keeps the class "
            "word's vectors.",
        ),
        "embedding.input_token",
    ),
    Setting(
        io.Boolean.Input(
            "layer_wise",
            default=False,
            tooltip="Learn one vector for each block that takes text, as in the paper (7). Such an adapter needs the "
            "Apply Adapter node: stock LoRA loaders ignore these vectors.",
        ),
        "embedding.layer_wise",
    ),
]

CONCEPT: Table = [
    Setting(
        io.Combo.Input(
            "concept_by",
            options=list(CHOICES),
            default=AUTO,
            optional=True,
            advanced=True,
            tooltip="What stands for [v] in prompts. auto: an input token where CLIP reads the prompt (SD 1.5, 2, XL "
            "and 3), else a trigger word. input token: a trained vector, called by embedding:NAME; a language model as "
            "text encoder is copied to train it, which takes gigabytes. trigger word: the name as plain text, which "
            "works everywhere and trains nothing in the text encoders.",
        ),
        "embedding.concept_by",
        lambda values: values.get("concept_by", AUTO),
    ),
]
"""Last on the nodes, so that workflows saved before this setting existed still fit."""
