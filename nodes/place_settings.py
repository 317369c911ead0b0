"""The setting of anchored learning for the places of the references."""

from __future__ import annotations

from comfy_api.latest import io

from ..purecc.training.placing import CHOICES, OFF
from .settings import Setting, Table

PLACES: Table = [
    Setting(
        io.Combo.Input(
            "places",
            options=list(CHOICES),
            default=OFF,
            optional=True,
            advanced=True,
            tooltip="anchored: what to do about where the concept stands, which is otherwise learned with it. say: "
            "captions name the place that the mask shows. auto: also moves references that all show the concept at one "
            "place. move: moves all. Moved references are shown with the masks. Experimental.",
        ),
        "job.places",
        lambda values: values.get("places", OFF),
    ),
]
"""Last on the node, so that workflows saved before it existed still fit."""
