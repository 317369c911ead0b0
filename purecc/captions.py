"""Captions that people already have, or none at all, as captions with [v] in them."""

# SPDX-License-Identifier: GPL-3.0-or-later

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from .texts import MARKER, ConceptTexts, class_pattern, default_caption, parse_caption


@dataclass(frozen=True)
class Caption:
    """One picture's caption as it was read.

    Attributes:
        text: as it was given, or completed.
        texts: the three texts; None where it cannot be read.
        problem: why it cannot be read; empty: it can.
    """

    text: str
    texts: ConceptTexts | None
    problem: str = ""


def read_captions(
    captions: Sequence[str], count: int, class_word: str, kind: str, scene: str = "", trigger: str = ""
) -> list[Caption]:
    """The captions of some pictures; what is wrong with a single one is noted there.

    Args:
        captions: one a picture, or one for all, or one text with a line for each; empty ones: the short form.
        count: how many pictures there are.
        class_word: what the concept is one of.
        kind: "instance" or "style".
        scene: what else is in the pictures without a caption, a line for all or a line for each picture; see
            `short_caption`.
        trigger: see `marked`.

    Raises:
        ValueError: there are not as many captions or lines as pictures, a scene is not needed, or the class word or
            the kind is not usable.
    """
    default_caption(class_word, kind)  # refuses what cannot be a class word
    lines = _lines(captions, count)
    scenes = _scenes(scene, lines)
    return [_read(line, said, class_word, kind, trigger) for line, said in zip(lines, scenes, strict=True)]


def short_caption(scene: str, class_word: str, kind: str = "instance") -> str:
    """The caption of a picture of which only is said what else is in it.

    "on a red sofa" gives "a [v] dog, on a red sofa"; for a style "a house by a lake" gives "a house by a lake, in [v]
    style". A scene that begins with the class word, "a dog next to a cat", is `marked` there, or there would be two
    dogs. An empty scene gives `default_caption`.

    Raises:
        ValueError: the class word or the kind is not usable.
    """
    plain = default_caption(class_word, kind)
    scene = " ".join(scene.split()).rstrip(" .,;")
    if not scene:
        return plain
    if kind == "style":
        return f"{scene}, in {MARKER} {' '.join(class_word.split())}"
    if re.match(rf"(?:(?:an?|the)\s+(?:[\w'’-]+\s+){{,2}}?)?{class_pattern(class_word)}", scene, re.IGNORECASE):
        with suppress(ValueError):  # it is there once more, and may be either
            return marked(scene, class_word)
    return f"{plain}, {scene}"


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


def _lines(captions: Sequence[str], count: int) -> list[str]:
    """A caption for every picture; empty ones where there is none."""
    if len(captions) <= 1:
        captions = "".join(captions).strip().splitlines() or [""]
        if len(captions) == 1:
            return list(captions) * count
    if len(captions) != count:
        raise ValueError(
            f"There are {count} pictures and {len(captions)} captions. Give one caption a picture, or one for all."
        )
    return list(captions)


def _scenes(scene: str, captions: Sequence[str]) -> list[str | None]:
    """What is said of every picture without a caption; None where nothing can be said in its place."""
    count, without = len(captions), [not c.strip() for c in captions]
    lines = [line.strip() for line in scene.strip().splitlines()]
    if not lines:
        return [""] * count if all(without) else [None] * count
    if not any(without):
        raise ValueError(
            "'scene' is for pictures without a caption, and every picture has one: empty scene, or the captions."
        )
    if len(lines) not in (1, count):
        raise ValueError(f"There are {count} pictures and {len(lines)} lines in 'scene': give one for all, or {count}.")
    return lines if len(lines) == count else lines * count


def _read(caption: str, scene: str | None, class_word: str, kind: str, trigger: str) -> Caption:
    text = " ".join(caption.split())
    try:
        if text:
            text = marked(text, class_word, kind, trigger)
        elif scene is not None:
            text = short_caption(scene, class_word, kind)
        else:
            raise ValueError(
                "A caption is empty, and other pictures have one: write it, or say in 'scene' what else is in the "
                "picture."
            )
        return Caption(text, parse_caption(text, class_word, kind))
    except ValueError as error:
        return Caption(text, None, str(error))
