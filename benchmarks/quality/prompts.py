"""List the images that measure a method: 40 prompts with the concept and 100 without, and what each should show."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field
from random import Random

from concepts import Concept

from purecc_pack.purecc.training import class_images
from purecc_pack.purecc.training.class_images import ClassCaption
from purecc_pack.tiny_world.backgrounds import BACKGROUNDS
from purecc_pack.tiny_world.captions import ground, phrase
from purecc_pack.tiny_world.scenes import PAIRED, POSITIONS
from purecc_pack.tiny_world.styles import STYLES
from purecc_pack.tiny_world.things import COLOURS, THINGS

GROUPS = {
    "requested": 16, "pair": 8, "unnamed": 16,
    "class": 24, "other": 24, "unrelated": 40, "unrelated pair": 12,
}  # fmt: skip
"""How many prompts of each kind; see `asked`."""

FEWER = {"requested": 16, "pair": 8, "unnamed": 16, "class": 8, "unrelated": 18, "unrelated pair": 6}
"""The same of the second claim: half, so that the hours go into seeds, which differ more than images of one run do."""

SHORT = {"requested": 16, "unnamed": 12, "class": 8, "other": 8}
"""The same on the way to the last step."""

FEWER_SHORT = {"requested": 16, "unnamed": 8, "class": 4}
"""The same on the way to the last step of the second claim."""


@dataclass(frozen=True)
class Asked:
    """A requested image.

    Attributes:
        group: a key of `GROUPS`.
        text: with [v] where the concept is asked for.
        named: the probe's answers that agree with what the prompt names, besides the concept.
    """

    group: str
    text: str
    named: dict[str, str] = field(default_factory=dict)

    @property
    def base_text(self) -> str:
        """The same without the concept, for the base."""
        return self.text.replace("[v] ", "").replace(" in [v] style", "").replace(" in style", "")


def _words(rng: Random, things: list[str], paired: bool = False) -> dict[str, str]:
    words = {
        "thing": rng.choice(things), "colour": rng.choice(list(COLOURS)), "background": rng.choice(list(BACKGROUNDS)),
        "style": rng.choice(list(STYLES)), "position": rng.choice(list(PAIRED if paired else POSITIONS)),
    }  # fmt: skip
    if paired:
        others = [t for t in THINGS if t != words["thing"] and t in things]
        words |= {"companion": rng.choice(others), "companion_colour": rng.choice(list(COLOURS))}
    return words


def asked(concept: Concept, counts: dict[str, int] = GROUPS) -> list[Asked]:
    """Return all pictures of one measurement, in the order of `GROUPS`; fewer of a group are its first ones.

    With the concept: "requested" (all else named; never the references' own background), "pair" (with a second thing),
    "unnamed" (the confounded attribute left out). Without it: "class" (the bare class word; for a style, no style
    named), "other" (another thing, the confounded attribute left out), "unrelated" (another thing, all named) and
    "unrelated pair". A companion of the references is no thing of any prompt.
    """
    head, answer = concept.confound
    style = concept.kind == "style"
    others = [t for t in THINGS if t not in (concept.word, answer)]
    hidden = ("companion", "companion_colour", "position") if head == "companion" else (head,)
    out = []
    for group, count in counts.items():
        rng = Random(f"{concept.name} {group}")
        for k in range(count):
            words = _words(rng, others, paired=group in ("pair", "unrelated pair"))
            if group in ("requested", "pair") and head in words and head != "companion":
                while words[head] == answer:
                    words[head] = _words(rng, others, paired=group == "pair")[head]
            if not style and group in ("requested", "pair", "unnamed", "class"):
                words |= {"thing": concept.word, "colour": ""}
            if style and group in ("requested", "pair", "unnamed", "class"):
                words["style"] = "" if group == "class" else concept.word
            if group in ("unnamed", "other") or (group == "class" and k % 2):
                words |= dict.fromkeys(hidden, "")
            named = {key: word for key, word in words.items() if word}
            if group in ("requested", "pair", "unnamed"):
                words |= {"style": "[v]"} if style else {"thing": f"[v] {concept.word}"}
                named = {key: word for key, word in named.items() if key not in concept.wanted}
            out.append(Asked(group, phrase(**words), named))
    return out


def unrelated(seed: str, count: int, avoid: str, taken: Set[tuple[str, ...]] = frozenset()) -> list[str]:
    """Return prompts of other things with all named, none of whose (thing, colour, background) is in `taken`."""
    rng, out = Random(seed), list[str]()
    while len(out) < count:
        words = _words(rng, [t for t in THINGS if t != avoid])
        if (words["thing"], words["colour"], words["background"]) not in taken:
            out.append(phrase(**words))
    return out


def drift_prompts(concept: Concept) -> tuple[str, ...]:
    """Return 12 prompts without the concept, to measure drift on; none is among the pictures or in the pool."""
    return tuple(unrelated(f"{concept.name} drift", 12, concept.word, _taken(concept)))


def pool_prompts(concept: Concept, count: int, of_class: bool = False) -> tuple[str, ...]:
    """Return prompts of a pool of the base's own pictures: other things, none among the measured pictures.

    With `of_class`, every second shows the class on a named background instead; that of a style is no thing.
    """
    drift = drift_prompts(concept)
    drawn = unrelated(f"{concept.name} pool", count + len(drift), concept.word, _taken(concept))
    out = [prompt for prompt in drawn if prompt not in drift][:count]
    if of_class and concept.kind == "instance":
        rng = Random(f"{concept.name} class pool")
        for k in range(0, count, 2):
            background = list(BACKGROUNDS)[k // 2 % len(BACKGROUNDS)]
            out[k] = phrase(concept.word, rng.choice(["", *COLOURS]), background, rng.choice(["", *STYLES]))
    return tuple(out)


def class_captions(concept: Concept, count: int, paired: bool = False) -> tuple[ClassCaption, ...]:
    """Return captions of images of the class, with [v]: all that each shows, and what the learner is told of it.

    Background and place always are in the first; the second leaves them out in a quarter and two fifths. No second one
    is a measured prompt. With `paired`, every sixth shows another thing beside it, never the confound.
    """
    grounds = [ground(background) for background in BACKGROUNDS]
    styles = [f"in {style} style" for style in STYLES]
    measured = {a.text for a in asked(concept)}
    things = [thing for thing in THINGS if paired and thing not in (concept.word, concept.confound[1])]
    others = [phrase(thing, colour) for thing in things for colour in COLOURS]
    return class_images.class_captions(
        concept.word, grounds, styles, count, Random(f"{concept.name} class captions"), measured, others
    )


def class_anchor_prompts(concept: Concept, count: int) -> tuple[str, ...]:
    """Return prompts of a pool of which every second is one of the class, as in `class_captions`, without [v]."""
    told = [c.told.replace("[v] ", "") for c in class_captions(concept, count // 2)]
    others = pool_prompts(concept, count - len(told))
    return tuple(prompt for pair in zip(told, others, strict=True) for prompt in pair)


def _taken(concept: Concept) -> set[tuple[str, ...]]:
    named = [a.named for a in asked(concept) if a.group.startswith("unrelated")]
    return {(n["thing"], n["colour"], n["background"]) for n in named}
