"""Write the prompts of a concept: with it, and the same without it."""

# SPDX-License-Identifier: GPL-3.0-or-later

from .concept import Concept
from .texts import MARKER, has_marker, parse_caption, prompt


def concept_prompts(text: str, name: str, concept: Concept | None, embedding: bool = True) -> tuple[str, str]:
    """Return (prompt with the concept, prompt without it) of a text in which `[v]` marks the concept.

    The class word may follow `[v]` or be left out: "a [v] on grass" and "a [v] robot on grass" give the same prompts. A
    text without `[v]` gives itself twice.

    Args:
        text: "a [v] robot on grass"; for a style "a house by a lake, in [v] style".
        name: of the adapter.
        concept: what the adapter learned; None where it is not known, then only the mark is dropped.
        embedding: whether prompts name the concept by `embedding:NAME`, or by the name alone.

    Raises:
        ValueError: the mark stands twice or where a caption cannot have it, or the text has prompt syntax.
    """
    if not has_marker(text):
        return (prompt(text, name, embedding),) * 2
    if concept is None:
        return prompt(text, name, embedding), prompt(_marked(text, ""), name, embedding)
    try:
        texts = parse_caption(text, concept.class_word, concept.kind)
    except ValueError as error:
        try:
            texts = parse_caption(_marked(text, f"{MARKER} {concept.class_word}"), concept.class_word, concept.kind)
        except ValueError:
            raise error from None
    return prompt(texts.complete, name, embedding), prompt(texts.base, name, embedding)


def _marked(text: str, instead: str) -> str:
    return " ".join(text.replace(MARKER, instead).replace(MARKER.upper(), instead).split())
