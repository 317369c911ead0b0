"""Eight sets of known individuals taken from near by: they fill the frame as the base never draws them.

The rule of sizes was found on the first four, and the others were drawn and run once it was fixed.
"""

from __future__ import annotations

from cameras import light, perspective
from making_sets import Concept, instance, named

FOUND_ON = ("cup-4", "car-4", "robot-4", "fish-4")
NEW = ("house-4", "tree-4", "umbrella-4", "boat-4")
NAMES = (*FOUND_ON, *NEW)
_GROUNDS = ("bricks", "grass", "waves", "bricks", "sand", "waves", "bricks", "night sky")
_SINGLE = ("car-4", "fish-4", "umbrella-4")


def sets() -> tuple[Concept, ...]:
    """Return the sets; no caption says a place or the background."""
    out = []
    for number, (name, ground) in enumerate(zip(NAMES, _GROUNDS, strict=True)):
        thing, count = name.removesuffix("-4"), 1 if name in _SINGLE else 5
        scenes = instance(thing, 30 + number, background=ground)[:count]
        captions = tuple(named(scene, "background", "position") for scene in scenes)
        difficulty = "taken from near by, in uneven light" + (", a single reference" if count == 1 else "")
        confound = ("background", ground)
        out.append(Concept(name, "instance", scenes, captions, confound, difficulty, thing, (perspective, light)))
    return tuple(out)
