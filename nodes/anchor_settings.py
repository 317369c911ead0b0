"""The settings of methods that hold the model to the base model: anchored learning, and learning on class images."""

from __future__ import annotations

from collections.abc import Sequence

from comfy_api.latest import io

from ..purecc.method.methods import METHODS, PAPER, MethodOptions
from ..purecc.training.class_images import GROUNDS, STYLES
from ..purecc.training.pool import POOL_PROMPTS, pool_prompts
from .settings import Setting, Table, Values, lines, value_of


def _pool_prompts(values: Values) -> tuple[str, ...]:
    anchors = METHODS[values.get("method", PAPER)](MethodOptions()).needs_text("anchor")
    return pool_prompts(lines(values.get("pool_prompts", "\n".join(POOL_PROMPTS)))) if anchors else ()


def pool_images(optional: bool = False) -> Setting:
    """Return the setting of how many images the base model generates."""
    return Setting(
        io.Int.Input(
            "pool_images",
            default=48,
            min=1,
            max=1000,
            optional=optional,
            advanced=True,
            tooltip="Number of images that the base model generates before training. prior preservation prompts them "
            "with the captions without the concept, anchored with pool_prompts. PureCC (class images) generates as "
            "many of the class, too.",
        ),
        "pool.images",
    )


def anchor(weight: float, optional: bool = False) -> Table:
    """Return the settings of the anchor with this weight; optional where they came after workflows were saved."""
    return [
        Setting(
            io.Float.Input(
                "anchor_weight",
                default=weight,
                min=0.0,
                max=100.0,
                step=0.05,
                optional=optional,
                tooltip="anchored: weight of the loss that holds the model to the base model. Raise it if the rest of "
                "the model changes; lower it if the concept comes out too weak.",
            ),
            "method.anchor_weight",
        ),
        Setting(
            io.Boolean.Input(
                "mask",
                default=True,
                optional=optional,
                advanced=True,
                tooltip="anchored: learn only inside each reference image's mask. Masks that Concept Dataset lacks are "
                "found with the base model and shown here before the first step. Off learns whole images.",
            ),
            "method.mask",
        ),
        Setting(
            io.String.Input(
                "pool_prompts",
                default="\n".join(POOL_PROMPTS),
                multiline=True,
                optional=optional,
                advanced=True,
                tooltip="anchored: prompts for the pool images, one per line, used in turn. Name things unlike the "
                "concept, not its class. If empty, the captions without the concept are used.",
            ),
            "pool.prompts",
            _pool_prompts,
        ),
    ]


def _class_lines(name: str, default: Sequence[str], fills: str, tooltip: str) -> Setting:
    text = "\n".join(default)
    entry = io.String.Input(name, default=text, multiline=True, optional=True, advanced=True, tooltip=tooltip)
    return Setting(entry, fills, lambda values: lines(value_of(entry, values)))


CLASS_IMAGES: Table = [
    _class_lines(
        "class_grounds",
        GROUNDS,
        "pool.grounds",
        "PureCC (class images): where the base model shows the class in the images that the concept is "
        "learned on, one per line, chosen at random. Each follows the class word: a robot on a sandy beach.",
    ),
    _class_lines(
        "class_styles",
        STYLES,
        "pool.styles",
        "PureCC (class images): styles of these images, one per line; some have none. Each follows the ground.",
    ),
]
"""Last on the node, so that workflows saved before they existed still fit."""
