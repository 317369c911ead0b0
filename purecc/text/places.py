"""Say in a caption where in the image the concept stands."""

# SPDX-License-Identifier: GPL-3.0-or-later

import re
from dataclasses import dataclass

from .spelling import word_pattern
from .texts import MARKER, ConceptTexts, parse_caption

LEFT, MIDDLE, RIGHT = "left", "middle", "right"
PLACES = (LEFT, MIDDLE, RIGHT)


@dataclass(frozen=True)
class Language:
    """How a language says it.

    Attributes:
        small: frequent words that tell it from the others.
        says: what follows the class word, by place.
        said: pattern of what a caption already says of a place.
        other: pattern of words that are left where a caption speaks of places in another way.
    """

    small: frozenset[str]
    says: dict[str, str]
    said: str
    other: str


LANGUAGES = (
    Language(
        frozenset(["a", "an", "the", "on", "in", "at", "of", "with", "and", "by", "is", "near"]),
        {LEFT: "on the left", MIDDLE: "in the middle", RIGHT: "on the right"},
        r",? (?:on|at|to|in) the (?:far )?(?:left|right|middle|cent(?:er|re))(?: side| of the (?:image|picture|photo))?"
        r"(?! of\b)\b",
        r"\b(?:left|right|middle|cent(?:er|re))\b",
    ),
    Language(
        frozenset(["ein", "eine", "einen", "einer", "der", "das", "auf", "mit", "und", "vor", "im", "am"]),
        {LEFT: "links", MIDDLE: "in der Mitte", RIGHT: "rechts"},
        r",? (?:ganz )?(?:links|rechts|in der Mitte)(?: im Bild)?(?! (?:von|neben|der|des)\b)\b",
        r"\b(?:links|rechts|linke[nrs]?|rechte[nrs]?|Mitte)\b",
    ),
    Language(
        frozenset(["un", "une", "le", "les", "sur", "dans", "avec", "et", "du", "des", "au", "devant"]),
        {LEFT: "à gauche", MIDDLE: "au milieu", RIGHT: "à droite"},
        r",? (?:à gauche|à droite|au (?:milieu|centre))(?: de l'image)?(?! (?:de|du|des|d')\b)\b",
        r"\b(?:gauche|droite|milieu|centre)\b",
    ),
    Language(
        frozenset(["un", "una", "el", "los", "las", "sobre", "en", "con", "y", "del", "al", "ante"]),
        {LEFT: "a la izquierda", MIDDLE: "en el centro", RIGHT: "a la derecha"},
        r",? (?:a la (?:izquierda|derecha)|en el (?:centro|medio))(?: de la imagen)?(?! (?:de|del)\b)\b",
        r"\b(?:izquierda|derecha|centro|medio)\b",
    ),
)
"""Languages with words that may follow a noun; captions in others stay as they are."""


def said_in_english(place: str) -> str:
    """Return how English says a place of `PLACES`."""
    return LANGUAGES[0].says[place]


def language_of(text: str) -> Language | None:
    """Return the language of a caption by its small words; None: none of these, or it is not clear which."""
    words = re.findall(r"[^\W\d_]+", text.lower())
    counts = [sum(word in language.small for word in words) for language in LANGUAGES]
    best = max(counts)
    return LANGUAGES[counts.index(best)] if best and counts.count(best) == 1 else None


def texts_at(texts: ConceptTexts, place: str) -> ConceptTexts | None:
    """Return the texts of a reference whose concept stands at a place: "a [v] robot on the left in ink style".

    What the caption said of a place is replaced.

    Args:
        texts: of a thing.
        place: one of `PLACES`.

    Returns:
        None where the language has no such words here, or the caption speaks of places in a way that cannot be
        replaced ("to the left of a tree").
    """
    language = language_of(texts.complete)
    if language is None:
        return None
    plain = re.sub(language.said, "", texts.complete, flags=re.IGNORECASE)
    marked = re.search(re.escape(MARKER) + ".*?" + word_pattern(texts.class_word), plain, re.IGNORECASE)
    if marked is None or re.search(language.other, plain, re.IGNORECASE):
        return None
    said = f"{plain[: marked.end()]} {language.says[place]}{plain[marked.end() :]}"
    return parse_caption(said, texts.class_word, texts.kind)
