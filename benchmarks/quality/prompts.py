"""What is drawn to measure a method: prompts with and without the concept, and what the pictures should show."""

from __future__ import annotations

from dataclasses import dataclass, field

NAME = "concept"


@dataclass(frozen=True)
class Asked:
    """A picture that is asked for.

    Attributes:
        group: what it measures.
        prompt: with `embedding:concept` where the concept is asked for.
        seed: of its noise.
        wanted: answers of the probe that agree with the prompt.
    """

    group: str
    prompt: str
    seed: int
    wanted: dict[str, str] = field(default_factory=dict)


def asked(captions, things, colours, backgrounds, concept_background: str, count: int) -> list[Asked]:
    """All pictures of one measurement.

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
    concept = f"embedding:{NAME} robot"
    elsewhere = [b for b in backgrounds if b != concept_background]
    others = [t for t in things if t != "robot"]
    out: list[Asked] = []
    for k in range(count):
        background, thing, colour = elsewhere[k % len(elsewhere)], others[k % len(others)], colours[k % len(colours)]
        behind = list(backgrounds)[(3 * k) % len(backgrounds)]
        out += [
            Asked(
                "requested",
                captions.phrase(concept, background=background),
                1000 + k,
                {"look": "concept", "background": background},
            ),
            Asked("unnamed", captions.phrase(concept), 2000 + k, {"background": concept_background}),
            Asked("other", captions.phrase(thing, colour), 3000 + k, {"background": concept_background}),
            Asked("class", captions.phrase("robot", background=background), 4000 + k, {"look": "concept"}),
            Asked(
                "unrelated",
                captions.phrase(thing, colour, behind),
                5000 + k,
                {"thing": thing, "colour": colour, "background": behind},
            ),
        ]
    return out
