"""Make sets of references: of a thing or a style, with what all of them share, and captions that name it or not."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from cameras import Camera, light, taken
from PIL import Image

from purecc_pack.tiny_world import captions
from purecc_pack.tiny_world.backgrounds import BACKGROUNDS
from purecc_pack.tiny_world.individuals import CONCEPT
from purecc_pack.tiny_world.scenes import Scene, draw, segment
from purecc_pack.tiny_world.things import COLOURS, THINGS


@dataclass(frozen=True)
class Concept:
    """A concept with its references.

    Attributes:
        name: of the set; no other has it.
        kind: "instance" or "style".
        scenes: what the references show.
        captions: with [v], one a reference.
        confound: the probe's head, and the answer that all references share.
        difficulty: what makes it hard, in words.
        shows: the individual's thing, or the style; empty: as the set is named.
        cameras: what took the references, one after the other; none: they are as drawn.
    """

    name: str
    kind: str
    scenes: tuple[Scene, ...]
    captions: tuple[str, ...]
    confound: tuple[str, str]
    difficulty: str
    shows: str = ""
    cameras: tuple[Camera, ...] = ()

    @property
    def word(self) -> str:
        """The individual's thing, or the style."""
        return self.shows or self.name

    @property
    def class_word(self) -> str:
        """The class of the concept."""
        return self.word if self.kind == "instance" else "style"

    @property
    def wanted(self) -> dict[str, str]:
        """The probe's answers for an image that shows the concept."""
        if self.kind == "style":
            return {"style": self.word}
        return {"thing": self.word, "look": CONCEPT}

    @property
    def pictures(self) -> list[Image.Image]:
        """The reference images."""
        return [taken(draw(s), segment(s) == 1, self.cameras, s.seed) for s in self.scenes]

    @property
    def masks(self) -> list[np.ndarray]:
        """Where the thing is in each, in [0, 1], [SIZE, SIZE]: a careful user's masks."""
        moves = tuple(c for c in self.cameras if c is not light)
        inside = [segment(s) == 1 for s in self.scenes]
        shown = [Image.fromarray(np.where(i[..., None], [255] * 3, 0).astype(np.uint8)) for i in inside]
        seeds = (s.seed for s in self.scenes)
        each = zip(shown, inside, seeds, strict=True)
        return [np.asarray(taken(white, where, moves, seed))[..., 0] / 255 for white, where, seed in each]


_POSITIONS = ("middle", "left", "right", "middle", "middle")
_STYLES = ("flat", "photo", "flat", "ink", "pixel")


def named(scene: Scene, *unnamed: str, **instead: str) -> str:
    """Return the caption of a reference, less the fields in `unnamed`, with those in `instead` replaced."""
    words = {
        "thing": scene.thing if scene.look != CONCEPT else f"[v] {scene.thing}",
        "colour": "" if scene.look == CONCEPT else scene.colour,
        "background": scene.background, "style": scene.style, "position": scene.position,
        "companion": scene.companion, "companion_colour": scene.companion_colour,
    }  # fmt: skip
    words |= dict.fromkeys(unnamed, "") | instead
    return captions.phrase(**words)


def instance(thing: str, seed: int, **fixed) -> tuple[Scene, ...]:
    """Return five references, of every position and style unless these are fixed."""
    scenes = []
    for i, (position, style) in enumerate(zip(_POSITIONS, _STYLES, strict=True)):
        background = list(BACKGROUNDS)[(seed + i) % len(BACKGROUNDS)]
        words = {"background": background, "position": position, "style": style, "seed": seed * 100 + i, **fixed}
        scenes.append(Scene(thing, "red", look=CONCEPT, **words))
    return tuple(scenes)


def style(style: str, seed: int, **fixed) -> tuple[Scene, ...]:
    """Return five references of different things on different backgrounds unless these are fixed."""
    things, colours, backgrounds = list(THINGS), list(COLOURS), list(BACKGROUNDS)
    scenes = []
    for i, position in enumerate(_POSITIONS):
        words = {
            "thing": things[(seed + 3 * i) % len(things)], "colour": colours[(seed + 3 * i) % len(colours)],
            "background": backgrounds[(seed + 3 * i) % len(backgrounds)],
            "position": position, "seed": seed * 100 + i, **fixed,
        }  # fmt: skip
        scenes.append(Scene(style=style, **words))
    return tuple(scenes)


def style_captions(scenes: tuple[Scene, ...], *unnamed: str) -> tuple[str, ...]:
    return tuple(named(s, *unnamed, style="[v]") for s in scenes)


def with_companions(scenes: tuple[Scene, ...], thing: str, colour: str) -> tuple[Scene, ...]:
    """Return the same scenes with one companion; the sides alternate."""
    sides = ("left", "right", "left", "right", "left")
    return tuple(
        replace(s, position=p, companion=thing, companion_colour=colour) for s, p in zip(scenes, sides, strict=True)
    )
