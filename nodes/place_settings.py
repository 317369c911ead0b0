"""The settings of anchored learning for what all references share: the place, the size, a thing beside the concept."""

from __future__ import annotations

from comfy_api.latest import io

from ..purecc.training.companions import CHOICES as COMPANION
from ..purecc.training.companions import LEAVE_OUT, words_tried
from ..purecc.training.placing import AUTO, CHOICES
from ..purecc.training.sizing import CHOICES as SIZES
from ..purecc.training.sizing import FIT
from .settings import Setting, Table, Values


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


def companion_words_input(begin: str) -> io.Input:
    """Return the input of the words of what is looked for; `begin` begins its tooltip."""
    return io.String.Input(
        "companion_words",
        default="",
        optional=True,
        advanced=True,
        tooltip=f"{begin} stands beside the concept, in words of a prompt: garden gnome. Of several, separated by "
        "commas, the one that fits best is left out. Empty: ninety common things are tried, and left out only if it is "
        "clear.",
    )


def companion_of(values: Values) -> tuple[str, ...]:
    """Return the words of things to look for beside the concept, from the values of both inputs."""
    own = (" ".join(word.split()) for word in values.get("companion_words", "").split(","))
    return words_tried(values.get("companion", LEAVE_OUT), [word for word in own if word])


PLACES: Table = [
    Setting(
        io.Combo.Input(
            "places",
            options=list(CHOICES),
            default=AUTO,
            optional=True,
            advanced=True,
            tooltip="anchored: what to do about where the concept stands, which is otherwise learned with it. say: "
            "captions name the place that the mask shows. auto: also moves references, so that some show it on "
            "the left, some in the middle and some on the right. move: moves all. Moved references are shown with the "
            "masks. Moving is experimental.",
        ),
        "references.places",
    ),
    Setting(companion_input("anchored: what"), "references.companion", companion_of),
]

SHARED: Table = [
    companion_words_input("anchored: what"),
    Setting(
        io.Combo.Input(
            "size",
            options=list(SIZES),
            default=FIT,
            optional=True,
            advanced=True,
            tooltip="anchored: what to do with images that the concept fills more than it fills images that the base "
            "model draws. fit: make them smaller within their frame, to the usual size. keep: use them as they are.",
        ),
        "references.size",
    ),
]
"""Last on the node, so that workflows saved before they existed still fit."""
