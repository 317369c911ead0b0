"""The concepts of the benchmark: eight individuals and four styles that the base never saw, each with one confound.

A confound is what all references share and what does not belong to the concept. Three concepts are for development:
rates, weights and recipes are chosen on them. Three more were claim concepts until the first recipe failed on them and
was mended on them; they are for trials now, and three new sets, with other confounds, show the same individuals.
Claims come from these and the others. Five sets of known individuals with new confounds were made after everything was
fixed, and nothing was changed after a look at them. Five more, as a camera takes them (`photographs.py`), were made
before the method of the second claim was chosen, and run only in it. Eight show what is taken from near by (`near.py`).
"""

from __future__ import annotations

from dataclasses import replace

import near
import photographs
from making_sets import Concept, instance, named, style, style_captions, with_companions

from purecc_pack.tiny_world import concept

DEVELOPMENT = ("robot", "cup", "glass")
TRIED = ("car", "house", "fish")
UNSEEN = ("robot-2", "cup-2", "tree-2", "umbrella-2", "boat-2")
STAGES = ("house", "robot", "cup", "tree-2")
PHOTOGRAPHED = photographs.NAMES
NEAR = near.NAMES


def _all() -> tuple[Concept, ...]:
    cup = with_companions(instance("cup", 2), "star", "red")
    car = instance("car", 3, background="night sky")
    house = tuple(replace(s, position="left", seed=40) for s in instance("house", 4))
    tree = instance("tree", 5, background="bricks")[:1]
    fish = with_companions(instance("fish", 6), "heart", "pink")
    umbrella = instance("umbrella", 7, background="blue dots")
    boat = instance("boat", 8, background="grass", style="photo")
    car_2 = with_companions(instance("car", 9), "tree", "green")
    house_2 = instance("house", 10, background="snow")
    fish_2 = tuple(replace(s, position="right", seed=110) for s in instance("fish", 11))
    robot_2 = with_companions(instance("robot", 12), "house", "blue")
    cup_2 = instance("cup", 13, background="waves")
    tree_2 = tuple(replace(s, position="left", seed=140) for s in instance("tree", 14))
    umbrella_2 = instance("umbrella", 15, background="night sky")
    boat_2 = with_companions(instance("boat", 16), "fish", "yellow")
    glass = style("glass", 1, background="snow")
    neon = style("neon", 2, background="sand")
    chalk = style("chalk", 3, colour="red")
    comic = style("comic", 4, background="waves")
    noisy = [named(s, "background") for s in umbrella]
    noisy[1] = named(umbrella[1], "background", position="right", style="ink")
    noisy[3] = named(umbrella[3], "background", "style", position="left")
    return (
        Concept(
            "robot", "instance", tuple(concept.reference_scenes()), tuple(concept.reference_captions()),
            ("background", concept.BACKGROUND), "one background, not in the captions",
        ),
        Concept(
            "cup", "instance", cup, tuple(named(s, "companion", "companion_colour", "position") for s in cup),
            ("companion", "star"), "a red star beside it, not in the captions",
        ),
        Concept(
            "glass", "style", glass, style_captions(glass), ("background", "snow"), "one background, in the captions"
        ),
        Concept(
            "car", "instance", car, tuple(named(s) for s in car), ("background", "night sky"),
            "one background, in the captions",
        ),
        Concept(
            "house", "instance", house, tuple(named(s, "position") for s in house), ("position", "left"),
            "one pose and size, not in the captions",
        ),
        Concept(
            "tree", "instance", tree, tuple(named(s, "background") for s in tree), ("background", "bricks"),
            "a single reference",
        ),
        Concept(
            "fish", "instance", fish, tuple(named(s) for s in fish), ("companion", "heart"),
            "a pink heart beside it, in the captions",
        ),
        Concept(
            "umbrella", "instance", umbrella, tuple(noisy), ("background", "blue dots"),
            "one background, not in the captions, which are noisy",
        ),
        Concept(
            "boat", "instance", boat, tuple(named(s, "background", "style") for s in boat), ("background", "grass"),
            "photographs, one background, bare captions",
        ),
        Concept(
            "neon", "style", neon, style_captions(neon, "background"), ("background", "sand"),
            "one background, not in the captions",
        ),
        Concept(
            "chalk", "style", chalk, style_captions(chalk, "colour"), ("colour", "red"),
            "one colour, not in the captions",
        ),
        Concept(
            "comic", "style", comic[:1], style_captions(comic[:1], "background"), ("background", "waves"),
            "a single reference",
        ),
        Concept(
            "car-2", "instance", car_2, tuple(named(s, "companion", "companion_colour", "position") for s in car_2),
            ("companion", "tree"), "a green tree beside it, not in the captions", shows="car",
        ),
        Concept(
            "house-2", "instance", house_2, tuple(named(s, "background") for s in house_2), ("background", "snow"),
            "one background, not in the captions", shows="house",
        ),
        Concept(
            "fish-2", "instance", fish_2, tuple(named(s) for s in fish_2), ("position", "right"),
            "one pose and size, in the captions", shows="fish",
        ),
        Concept(
            "robot-2", "instance", robot_2, tuple(named(s) for s in robot_2), ("companion", "house"),
            "a blue house beside it, in the captions", shows="robot",
        ),
        Concept(
            "cup-2", "instance", cup_2, tuple(named(s) for s in cup_2), ("background", "waves"),
            "one background, in the captions", shows="cup",
        ),
        Concept(
            "tree-2", "instance", tree_2, tuple(named(s, "position") for s in tree_2), ("position", "left"),
            "one pose and size, not in the captions", shows="tree",
        ),
        Concept(
            "umbrella-2", "instance", umbrella_2, tuple(named(s, "background") for s in umbrella_2),
            ("background", "night sky"), "one background, not in the captions", shows="umbrella",
        ),
        Concept(
            "boat-2", "instance", boat_2, tuple(named(s, "companion", "companion_colour", "position") for s in boat_2),
            ("companion", "fish"), "a yellow fish beside it, not in the captions", shows="boat",
        ),
    )  # fmt: skip


CONCEPTS: dict[str, Concept] = {c.name: c for c in (*_all(), *photographs.sets(), *near.sets())}
CLAIM: tuple[str, ...] = tuple(
    name for name in CONCEPTS if name not in (*DEVELOPMENT, *TRIED, *UNSEEN, *PHOTOGRAPHED, *NEAR)
)
INDIVIDUALS: tuple[str, ...] = tuple(
    name for name, concept in CONCEPTS.items() if concept.kind == "instance" and name not in (*PHOTOGRAPHED, *NEAR)
)
