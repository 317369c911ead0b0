"""Captions that people already have, or none at all, as captions with [v] in them."""

# SPDX-License-Identifier: GPL-3.0-or-later

import re

from .texts import MARKER, class_pattern, default_caption, parse_caption


def short_caption(scene: str, class_word: str, kind: str = "instance") -> str:
    """The caption of a picture of which only is said what else is in it.

    "on a red sofa" gives "a [v] dog, on a red sofa"; for a style "a house by a lake" gives "a house by a lake, in [v]
    style". An empty scene gives `default_caption`.

    Raises:
        ValueError: the class word or the kind is not usable.
    """
    plain = default_caption(class_word, kind)
    scene = " ".join(scene.split()).rstrip(" .,;")
    if not scene:
        return plain
    return f"{plain}, {scene}" if kind == "instance" else f"{scene}, in {MARKER} {' '.join(class_word.split())}"


def marked(caption: str, class_word: str, kind: str = "instance", trigger: str = "") -> str:
    """A caption as other trainers take it, the concept marked; one that has [v] stays as it is.

    In order: the trigger word becomes [v], with the class word after it where it is not ("photo of sks dog" and "photo
    of sks" give "photo of [v] dog"); an instance is marked before its class word ("a dog on grass" gives "a [v] dog on
    grass"); a style, of which captions seldom speak, is put at the end ("a house" gives "a house, in [v] style").

    Args:
        caption: one picture's text, not empty.
        class_word: what the concept is one of.
        kind: "instance" or "style".
        trigger: the word that stands for the concept in the captions; empty: none does.

    Raises:
        ValueError: the class word is not in the caption, or more than once, and so nothing says where the concept is.
    """
    example = default_caption(class_word, kind)
    text, class_word, trigger = (" ".join(t.split()) for t in (caption, class_word, trigger))
    if MARKER in text.lower():
        return text
    if trigger and len(parts := re.split(rf"(?<!\w){re.escape(trigger)}(?!\w)", text, flags=re.IGNORECASE)) > 1:
        return _with_class(MARKER.join([_article_a(parts[0]), *parts[1:]]), class_word, kind)
    if kind == "style":
        return short_caption(text, class_word, kind)
    found = list(re.finditer(rf"(?<![\w-]){class_pattern(class_word)}", text, re.IGNORECASE))
    if len(found) == 1:
        at = found[0].start()
        return f"{_article_a(text[:at])}{MARKER} {text[at:]}"
    why = f"{class_word!r} {len(found)} times" if found else f"not {class_word!r} either"
    raise ValueError(f"Caption {text!r} has no [v], and {why}: mark the concept with [v], as in {example!r}.")


def _with_class(text: str, class_word: str, kind: str) -> str:
    """A text with [v], the class word set after it if the text cannot be read without."""
    try:
        parse_caption(text, class_word, kind)
    except ValueError:
        return text.replace(MARKER, f"{MARKER} {class_word}")
    return text


def _article_a(before: str) -> str:
    """Text that ends before [v], "a" in place of a last "an"."""
    return re.sub(r"(?<![\w-])(a)n(\s+)$", r"\1\2", before, flags=re.IGNORECASE)
