"""The concepts of the benchmark: eight individuals and four styles that the base never saw, each with one confound.

A confound is what all references share and what does not belong to the concept. Three concepts are for development:
rates, weights and recipes are chosen on them. Three more were claim concepts until the first recipe failed on them and
was mended on them; they are for trials now, and three new sets, with other confounds, show the same individuals.
Claims come from these and the others. Five sets of known individuals with new confounds were made after everything was
fixed, and nothing was changed after a look at them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from purecc_pack.tiny_world import captions, concept
from purecc_pack.tiny_world.backgrounds import BACKGROUNDS
from purecc_pack.tiny_world.individuals import CONCEPT
from purecc_pack.tiny_world.scenes import Scene
from purecc_pack.tiny_world.things import COLOURS, THINGS

DEVELOPMENT = ("robot", "cup", "glass")
TRIED = ("car", "house", "fish")
UNSEEN = ("robot-2", "cup-2", "tree-2", "umbrella-2", "boat-2")
STAGES = ("house", "robot", "cup", "tree-2")


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
    """

    name: str
    kind: str
    scenes: tuple[Scene, ...]
    captions: tuple[str, ...]
    confound: tuple[str, str]
    difficulty: str
    shows: str = ""

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


_POSITIONS = ("middle", "left", "right", "middle", "middle")
_STYLES = ("flat", "photo", "flat", "ink", "pixel")


def _named(scene: Scene, *unnamed: str, **instead: str) -> str:
    """Return the caption of a reference, less the fields in `unnamed`, with those in `instead` replaced."""
    words = {
        "thing": scene.thing if scene.look != CONCEPT else f"[v] {scene.thing}",
        "colour": "" if scene.look == CONCEPT else scene.colour,
        "background": scene.background, "style": scene.style, "position": scene.position,
        "companion": scene.companion, "companion_colour": scene.companion_colour,
    }  # fmt: skip
    words |= dict.fromkeys(unnamed, "") | instead
    return captions.phrase(**words)


def _instance(thing: str, seed: int, **fixed) -> tuple[Scene, ...]:
    """Return five references, of every position and style unless these are fixed."""
    scenes = []
    for i, (position, style) in enumerate(zip(_POSITIONS, _STYLES, strict=True)):
        background = list(BACKGROUNDS)[(seed + i) % len(BACKGROUNDS)]
        words = {"background": background, "position": position, "style": style, "seed": seed * 100 + i, **fixed}
        scenes.append(Scene(thing, "red", look=CONCEPT, **words))
    return tuple(scenes)


def _style(style: str, seed: int, **fixed) -> tuple[Scene, ...]:
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


def _style_captions(scenes: tuple[Scene, ...], *unnamed: str) -> tuple[str, ...]:
    return tuple(_named(s, *unnamed, style="[v]") for s in scenes)


def _with_companions(scenes: tuple[Scene, ...], thing: str, colour: str) -> tuple[Scene, ...]:
    """Return the same scenes with one companion; the sides alternate."""
    sides = ("left", "right", "left", "right", "left")
    return tuple(
        replace(s, position=p, companion=thing, companion_colour=colour) for s, p in zip(scenes, sides, strict=True)
    )


def _all() -> tuple[Concept, ...]:
    cup = _with_companions(_instance("cup", 2), "star", "red")
    car = _instance("car", 3, background="night sky")
    house = tuple(replace(s, position="left", seed=40) for s in _instance("house", 4))
    tree = _instance("tree", 5, background="bricks")[:1]
    fish = _with_companions(_instance("fish", 6), "heart", "pink")
    umbrella = _instance("umbrella", 7, background="blue dots")
    boat = _instance("boat", 8, background="grass", style="photo")
    car_2 = _with_companions(_instance("car", 9), "tree", "green")
    house_2 = _instance("house", 10, background="snow")
    fish_2 = tuple(replace(s, position="right", seed=110) for s in _instance("fish", 11))
    robot_2 = _with_companions(_instance("robot", 12), "house", "blue")
    cup_2 = _instance("cup", 13, background="waves")
    tree_2 = tuple(replace(s, position="left", seed=140) for s in _instance("tree", 14))
    umbrella_2 = _instance("umbrella", 15, background="night sky")
    boat_2 = _with_companions(_instance("boat", 16), "fish", "yellow")
    glass = _style("glass", 1, background="snow")
    neon = _style("neon", 2, background="sand")
    chalk = _style("chalk", 3, colour="red")
    comic = _style("comic", 4, background="waves")
    noisy = [_named(s, "background") for s in umbrella]
    noisy[1] = _named(umbrella[1], "background", position="right", style="ink")
    noisy[3] = _named(umbrella[3], "background", "style", position="left")
    return (
        Concept(
            "robot", "instance", tuple(concept.reference_scenes()), tuple(concept.reference_captions()),
            ("background", concept.BACKGROUND), "one background, not in the captions",
        ),
        Concept(
            "cup", "instance", cup, tuple(_named(s, "companion", "companion_colour", "position") for s in cup),
            ("companion", "star"), "a red star beside it, not in the captions",
        ),
        Concept(
            "glass", "style", glass, _style_captions(glass), ("background", "snow"), "one background, in the captions"
        ),
        Concept(
            "car", "instance", car, tuple(_named(s) for s in car), ("background", "night sky"),
            "one background, in the captions",
        ),
        Concept(
            "house", "instance", house, tuple(_named(s, "position") for s in house), ("position", "left"),
            "one pose and size, not in the captions",
        ),
        Concept(
            "tree", "instance", tree, tuple(_named(s, "background") for s in tree), ("background", "bricks"),
            "a single reference",
        ),
        Concept(
            "fish", "instance", fish, tuple(_named(s) for s in fish), ("companion", "heart"),
            "a pink heart beside it, in the captions",
        ),
        Concept(
            "umbrella", "instance", umbrella, tuple(noisy), ("background", "blue dots"),
            "one background, not in the captions, which are noisy",
        ),
        Concept(
            "boat", "instance", boat, tuple(_named(s, "background", "style") for s in boat), ("background", "grass"),
            "photographs, one background, bare captions",
        ),
        Concept(
            "neon", "style", neon, _style_captions(neon, "background"), ("background", "sand"),
            "one background, not in the captions",
        ),
        Concept(
            "chalk", "style", chalk, _style_captions(chalk, "colour"), ("colour", "red"),
            "one colour, not in the captions",
        ),
        Concept(
            "comic", "style", comic[:1], _style_captions(comic[:1], "background"), ("background", "waves"),
            "a single reference",
        ),
        Concept(
            "car-2", "instance", car_2, tuple(_named(s, "companion", "companion_colour", "position") for s in car_2),
            ("companion", "tree"), "a green tree beside it, not in the captions", shows="car",
        ),
        Concept(
            "house-2", "instance", house_2, tuple(_named(s, "background") for s in house_2), ("background", "snow"),
            "one background, not in the captions", shows="house",
        ),
        Concept(
            "fish-2", "instance", fish_2, tuple(_named(s) for s in fish_2), ("position", "right"),
            "one pose and size, in the captions", shows="fish",
        ),
        Concept(
            "robot-2", "instance", robot_2, tuple(_named(s) for s in robot_2), ("companion", "house"),
            "a blue house beside it, in the captions", shows="robot",
        ),
        Concept(
            "cup-2", "instance", cup_2, tuple(_named(s) for s in cup_2), ("background", "waves"),
            "one background, in the captions", shows="cup",
        ),
        Concept(
            "tree-2", "instance", tree_2, tuple(_named(s, "position") for s in tree_2), ("position", "left"),
            "one pose and size, not in the captions", shows="tree",
        ),
        Concept(
            "umbrella-2", "instance", umbrella_2, tuple(_named(s, "background") for s in umbrella_2),
            ("background", "night sky"), "one background, not in the captions", shows="umbrella",
        ),
        Concept(
            "boat-2", "instance", boat_2, tuple(_named(s, "companion", "companion_colour", "position") for s in boat_2),
            ("companion", "fish"), "a yellow fish beside it, not in the captions", shows="boat",
        ),
    )  # fmt: skip


CONCEPTS: dict[str, Concept] = {c.name: c for c in _all()}
CLAIM: tuple[str, ...] = tuple(name for name in CONCEPTS if name not in (*DEVELOPMENT, *TRIED, *UNSEEN))
INDIVIDUALS: tuple[str, ...] = tuple(name for name, concept in CONCEPTS.items() if concept.kind == "instance")
