"""The settings of anchored learning for what all references share: the place, and a thing beside the concept."""

from __future__ import annotations

from comfy_api.latest import io

from ..purecc.training.companions import CHOICES as COMPANION
from ..purecc.training.companions import LEAVE_OUT
from ..purecc.training.placing import CHOICES
from .settings import Setting, Table


def companion_input(begin: str) -> io.Input:
    """Return the input of what is done about a thing beside the concept; `begin` begins its tooltip."""
    return io.Combo.Input(
        "companion",
        options=list(COMPANION),
        default=LEAVE_OUT,
        optional=True,
        advanced=True,
        tooltip=f"{begin} to do with a common thing that most images show beside the concept, such as a ball "
        "beside the dog. leave out: take it out of the masks, so that it is not learned too. keep: learn it.",
    )


def places(default: str) -> Table:
    """Return the settings of a training node; `default` is what is done about places."""
    return [
        Setting(
            io.Combo.Input(
                "places",
                options=list(CHOICES),
                default=default,
                optional=True,
                advanced=True,
                tooltip="anchored: what to do about where the concept stands, which is otherwise learned with it. say: "
                "captions name the place that the mask shows. auto: also moves references that all show the concept at "
                "one place. move: moves all. Moved references are shown with the masks. Moving is experimental.",
            ),
            "job.places",
            lambda values: values.get("places", default),
        ),
        Setting(companion_input("anchored: what"), "job.companion", lambda values: values.get("companion", LEAVE_OUT)),
    ]
