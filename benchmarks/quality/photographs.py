"""Five sets as a camera takes them: known individuals in perspective, in uneven light, cut off by the frame."""

from __future__ import annotations

from dataclasses import replace

from cameras import frame, light, perspective
from making_sets import Concept, instance, named, with_companions

NAMES = ("robot-3", "car-3", "house-3", "boat-3", "fish-3")


def sets() -> tuple[Concept, ...]:
    """Return the sets; no caption says a place, since the camera changes it."""
    robot = instance("robot", 17, background="bricks")
    car = tuple(replace(s, position="right", seed=180) for s in instance("car", 18))
    house = instance("house", 19, background="grass")
    boat = with_companions(instance("boat", 20), "umbrella", "purple")
    fish = instance("fish", 21, background="sand")[:1]
    return (
        Concept(
            "robot-3", "instance", robot, tuple(named(s, "background", "position") for s in robot),
            ("background", "bricks"), "in perspective, uneven light; one background, not in the captions",
            "robot", (perspective, light),
        ),
        Concept(
            "car-3", "instance", car, tuple(named(s, "position") for s in car), ("position", "right"),
            "uneven light; one pose and size, not in the captions", "car", (light,),
        ),
        Concept(
            "house-3", "instance", house, tuple(named(s, "background", "position") for s in house),
            ("background", "grass"), "cut off by the frame, uneven light; one background, not in the captions",
            "house", (frame, light),
        ),
        Concept(
            "boat-3", "instance", boat, tuple(named(s, "companion", "companion_colour", "position") for s in boat),
            ("companion", "umbrella"), "uneven light; an umbrella beside it", "boat", (light,),
        ),
        Concept(
            "fish-3", "instance", fish, tuple(named(s, "background", "position") for s in fish),
            ("background", "sand"), "a single reference, in perspective, uneven light", "fish", (perspective, light),
        ),
    )  # fmt: skip
