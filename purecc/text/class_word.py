"""Read the class word and kind of concept that a user gives."""

# SPDX-License-Identifier: GPL-3.0-or-later

from .concept import Concept
from .spelling import plain
from .texts import KINDS, default_caption

STYLE = "style"
"""Class word of a style."""


def concept_of(class_word: str, kind: str) -> Concept:
    """Return the concept; a style needs no class word of the user's."""
    return Concept(STYLE if kind == "style" and not plain(class_word) else class_word, kind)


def class_word_fault(class_word: str, kind: str) -> str:
    """Return what is wrong with the class word or kind, beginning with the name of the input; empty if nothing is."""
    if kind not in KINDS:
        return f"kind is {kind!r}. Choose one of: {', '.join(KINDS)}."
    if kind != "style" and not plain(class_word):
        return "class_word is empty. Write what your images show, in a word: dog, woman, toy."
    try:
        default_caption(concept_of(class_word, kind).class_word, kind)
    except ValueError as error:
        return f"class_word: {error}"
    return ""
