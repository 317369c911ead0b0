"""Scenes in plain words: "a red robot on the left on red stripes in ink style".

With a companion: "a red robot on the left and a blue cup on the right on sand in photo style".
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from .backgrounds import BACKGROUNDS
from .scenes import POSITIONS, STYLES, Scene
from .things import COLOURS, THINGS

DROP = 0.15
"""Probability that colour, background or style is left out of a caption, each on its own."""
NAME_POSITION = 0.5
EMPTY = 0.1
"""Probability of the empty caption, for classifier-free guidance."""

_PLACES = {"left": "on the left", "middle": "in the middle", "right": "on the right"}
_ARTICLES = {"night sky": "a night sky"}


@dataclass(frozen=True)
class Named:
    """Which parts of a scene a caption names, besides the thing."""

    colour: bool = True
    background: bool = True
    style: bool = True
    position: bool = True


def sample_named(rng: Random) -> Named:
    """Choose the named parts at random, at the rates of training."""
    return Named(
        colour=rng.random() >= DROP,
        background=rng.random() >= DROP,
        style=rng.random() >= DROP,
        position=rng.random() < NAME_POSITION,
    )


def _noun(thing: str, colour: str, position: str) -> str:
    noun = f"{colour} {thing}".strip()
    article = "an" if noun[0] in "aeiou" else "a"
    return " ".join(filter(None, (article, noun, _PLACES.get(position, ""))))


def ground(background: str) -> str:
    """Return how a caption says a background: "on sand"."""
    return f"on {_ARTICLES.get(background, background)}"


def phrase(
    thing: str,
    colour: str = "",
    background: str = "",
    style: str = "",
    position: str = "",
    companion: str = "",
    companion_colour: str = "",
) -> str:
    """Build a caption from words, without the empty ones. A companion stands on the side that `position` leaves."""
    words = [_noun(thing, colour, position)]
    if companion:
        words += ["and", _noun(companion, companion_colour, {"left": "right", "right": "left"}.get(position, ""))]
    if background:
        words.append(ground(background))
    if style:
        words.append(f"in {style} style")
    return " ".join(words)


def caption(scene: Scene, named: Named = Named()) -> str:
    """Return the caption of a scene that names the parts in `named`."""
    return phrase(
        scene.thing,
        scene.colour if named.colour else "",
        scene.background if named.background else "",
        scene.style if named.style else "",
        scene.position if named.position else "",
        scene.companion,
        scene.companion_colour if named.colour else "",
    )


def training_caption(scene: Scene, rng: Random) -> str:
    """Return a random caption of a scene for training: parts dropped, sometimes empty."""
    named = sample_named(rng)
    return "" if rng.random() < EMPTY else caption(scene, named)


def all_captions() -> list[str]:
    """Captions that together hold every word, and the empty one."""
    captions = [""]
    for thing in THINGS:
        captions += [phrase(thing, colour) for colour in ("", *COLOURS)]
    for words in ([phrase("star", background=b) for b in BACKGROUNDS], [phrase("star", style=s) for s in STYLES]):
        captions += words
    captions.append(phrase("star", companion="star"))
    return captions + [phrase("star", position=p) for p in POSITIONS]
