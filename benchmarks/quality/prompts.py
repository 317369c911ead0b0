"""What is drawn to measure a method: prompts with and without the concept, and what the pictures should show."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Asked:
    """A picture that is asked for.

    Attributes:
        group: what it measures.
        text: with [v] where the concept is asked for.
        seed: of its noise.
        wanted: answers of the probe that agree with the prompt.
    """

    group: str
    text: str
    seed: int
    wanted: dict[str, str] = field(default_factory=dict)


def asked(captions, things, colours, backgrounds, concept_background: str, count: int) -> list[Asked]:
    """All pictures of one measurement; style "flat" and a position are named in all of them.

    Groups: "requested", the concept on every background but the references' own; "unnamed", the concept and no
    background; "other", another thing and no background; "class", the bare class word on a background; "unrelated",
    another thing with everything named.

    Args:
        captions: the pack's module that phrases scenes.
        things: names of things, the class word among them.
        colours: names of colours.
        backgrounds: names of backgrounds.
        concept_background: the references' own.
        count: pictures in every group.
    """
    elsewhere = [b for b in backgrounds if b != concept_background]
    others = [t for t in things if t != "robot"]
    out: list[Asked] = []
    for k in range(count):
        background, thing, colour = elsewhere[k % len(elsewhere)], others[k % len(others)], colours[k % len(colours)]
        behind = backgrounds[(3 * k) % len(backgrounds)]
        where = {"style": "flat", "position": ("left", "middle", "right")[k % 3]}
        leak = {"background": concept_background}
        concept = {"look": "concept"}
        named = {"thing": thing, "colour": colour, "background": behind}
        out += [
            Asked(
                "requested",
                captions.phrase("[v] robot", background=background, **where),
                1000 + k,
                concept | {"background": background},
            ),
            Asked("unnamed", captions.phrase("[v] robot", **where), 2000 + k, leak),
            Asked("other", captions.phrase(thing, colour, **where), 3000 + k, leak),
            Asked("class", captions.phrase("robot", background=background, **where), 4000 + k, concept),
            Asked("unrelated", captions.phrase(**named, **where), 5000 + k, named),
        ]
    return out
