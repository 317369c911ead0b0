"""Turn captions of other trainers, or none at all, into captions with [v]."""

# SPDX-License-Identifier: GPL-3.0-or-later

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from .concept import Concept
from .spelling import plain, quoted, whole_word_pattern, word_pattern
from .texts import MARKER, ConceptTexts, default_caption, has_marker, parse_caption

_WEIGHT = re.compile(
    r"(?:\([^()]*[^()\d\s]|\)):(?:\d+(?:\.\d*)?|\.\d+)\)|<(?:lora|lyco|hypernet):[^<>]*>", re.IGNORECASE
)


class FileCaption(str):
    """A caption that knows the files of a folder it belongs to, so that messages can name them.

    Attributes:
        image: name of the image's file.
        file: name of the caption's file; empty: the image has none.
        place: path of the image below the host's input folder; empty: unknown.
    """

    __slots__ = ("file", "image", "place")
    image: str
    file: str
    place: str

    def __new__(cls, text: str, image: str = "", file: str = "", place: str = "") -> "FileCaption":
        """Make one of the caption's text; the text alone, as a copy is made before its attributes are set."""
        out = super().__new__(cls, text)
        out.image, out.file, out.place = image, file, place
        return out


@dataclass(frozen=True)
class CaptionInput:
    """Captions as a user gives them.

    Attributes:
        captions: one per image, or one for all, or one text with a line for each; empty: the short form.
        scene: what else is in the images without a caption, one line for all or one for each; see `short_caption`.
        trigger: the word that names the concept in the captions; empty: none. See `marked`.
    """

    captions: Sequence[str] = ()
    scene: str = ""
    trigger: str = ""


@dataclass(frozen=True)
class Caption:
    """One image's caption as it was read.

    Attributes:
        text: as given, or completed.
        texts: the three texts; None if the caption cannot be read.
        problem: why it cannot be read; empty: it can.
        image: name of the image's file, and
        file: of its caption's, if they are from a folder; else empty.
        place: see FileCaption.
    """

    text: str
    texts: ConceptTexts | None
    problem: str = ""
    image: str = ""
    file: str = ""
    place: str = ""


def read_captions(given: CaptionInput, count: int, concept: Concept) -> list[Caption]:
    """Read the captions of `count` images; a problem with a single caption is stored in it.

    Raises:
        ValueError: the number of captions or scene lines is not that of the images, a scene is not needed, or the
            class word or kind is not usable.
    """
    default_caption(concept.class_word, concept.kind)  # refuses an unusable class word or kind
    lines = _lines(given.captions, count)
    scenes = _scenes(given.scene, lines)
    read = [_read(line, scene, concept, given.trigger) for line, scene in zip(lines, scenes, strict=True)]
    if len(given.captions) != count:
        return read
    return [
        replace(one, image=of.image, file=of.file, place=of.place) if isinstance(of, FileCaption) else one
        for one, of in zip(read, given.captions, strict=True)
    ]


def short_caption(scene: str, concept: Concept) -> str:
    """Return the caption of an image from what else is in it.

    "on a red sofa" gives "a [v] dog, on a red sofa"; for a style, "a house by a lake" gives "a house by a lake, in [v]
    style". A scene that begins with the class word, such as "a dog next to a cat", is `marked` there, so that no second
    dog appears. An empty scene gives `default_caption`.

    Raises:
        ValueError: the class word or kind is not usable.
    """
    class_word, kind = concept.class_word, concept.kind
    shortest, class_word = default_caption(class_word, kind), plain(class_word)
    scene = plain(scene).rstrip(" .,;，；。")
    if not scene:
        return shortest
    if kind == "style":
        return f"{scene}, in {MARKER} {class_word}"
    if re.match(rf"(?:(?:an?|the)\s+(?:[\w'’-]+\s+){{,2}}?)?{word_pattern(class_word)}", scene, re.IGNORECASE):
        with suppress(ValueError):  # a second class word makes it ambiguous which one is meant
            return marked(scene, concept)
    return f"{shortest}, {scene}"


def marked(caption: str, concept: Concept, trigger: str = "") -> str:
    """Return another trainer's caption with [v] in it; a caption that has [v] is returned unchanged.

    In this order: the trigger word becomes [v], followed by the class word if it is missing ("photo of sks dog" and
    "photo of sks" give "photo of [v] dog"). An instance is marked before its class word ("a dog on grass" gives "a [v]
    dog on grass"). A style, which captions seldom mention, goes to the end ("a house" gives "a house, in [v] style").

    Args:
        caption: one image's text, not empty.
        concept: what it shows.
        trigger: the word that names the concept in the caption; empty: none.

    Raises:
        ValueError: the class word is missing, or it or the trigger appears more than once, so the place of [v] is
            unknown.
    """
    example = default_caption(concept.class_word, concept.kind)
    text, class_word, trigger = (plain(t) for t in (caption, concept.class_word, trigger))
    if has_marker(text):
        return text
    if trigger and len(parts := re.split(whole_word_pattern(trigger, hyphens=False), text, flags=re.IGNORECASE)) > 1:
        if len(parts) > 2:
            raise ValueError(
                f"Caption {quoted(text)} has the trigger {trigger!r} {len(parts) - 1} times. Keep the one that names "
                "the concept."
            )
        return _with_class(f"{_article_a(parts[0])}{MARKER}{parts[1]}", Concept(class_word, concept.kind))
    if concept.kind == "style":
        return short_caption(text, concept)
    found = list(re.finditer(whole_word_pattern(class_word), text, re.IGNORECASE))
    if len(found) == 1:
        at = found[0].start()
        return f"{_article_a(text[:at])}{MARKER} {text[at:]}"
    why = f"names {class_word!r} {len(found)} times" if found else f"does not name {class_word!r}"
    raise ValueError(f"Caption {quoted(text)} has no [v] and {why}. Mark the concept with [v], as in {example!r}.")


def _with_class(text: str, concept: Concept) -> str:
    """Return a text with [v], with the class word after it if the text cannot be read without."""
    try:
        parse_caption(text, concept.class_word, concept.kind)
    except ValueError:
        return text.replace(MARKER, f"{MARKER} {concept.class_word}")
    return text


def _article_a(before: str) -> str:
    """Return the text before [v] with "a" in place of a final "an"."""
    return re.sub(r"(?<![\w-])(a)n(\s+)$", r"\1\2", before, flags=re.IGNORECASE)


def _lines(captions: Sequence[str], count: int) -> list[str]:
    """Return a caption for every image, empty where there is none."""
    captions = list(captions)
    if len(captions) <= 1:
        captions = "".join(captions).strip().splitlines() or [""]
        if len(captions) == 1:
            return captions * count
    blank = [number for number, line in enumerate(captions, start=1) if not line.strip()]
    if len(captions) - len(blank) == count:  # blank lines between the captions
        return [line for line in captions if line.strip()]
    if len(captions) != count:
        which = f" (blank: {', '.join(map(str, blank[:10]))})" if blank else ""
        raise ValueError(
            f"There are {count} images and {len(captions)} captions{which}. Give one caption per image, or one for all."
        )
    return captions


def _scenes(scene: str, captions: Sequence[str]) -> list[str | None]:
    """Return the scene of every image; None where neither a scene nor the short form can replace a caption."""
    count, without = len(captions), [not c.strip() for c in captions]
    lines: list[str | None] = [line.strip() for line in scene.strip().splitlines()]
    if not lines:
        return [""] * count if all(without) else [None] * count
    if not any(without):
        raise ValueError(
            "'scene' describes images without a caption, and every image has one. Empty scene or captions."
        )
    if len(lines) not in (1, count):
        raise ValueError(f"There are {count} images and {len(lines)} lines in 'scene'. Give one for all, or {count}.")
    return lines if len(lines) == count else lines * count


def _read(caption: str, scene: str | None, concept: Concept, trigger: str) -> Caption:
    written = text = plain(caption)
    try:
        if weight := _WEIGHT.search(text):
            raise ValueError(
                f"Caption {quoted(text)} contains {weight[0]!r}, which is prompt syntax and no description. Write only "
                "the words."
            )
        if text:
            text = marked(text, concept, trigger)
        elif scene is not None:
            text = short_caption(scene, concept)
        else:
            raise ValueError(
                "The caption is empty while other images have one. Write it, or describe the rest of the image in "
                "'scene'."
            )
        return Caption(text, parse_caption(text, concept.class_word, concept.kind, written))
    except ValueError as error:
        return Caption(written, None, f"scene: {error}" if scene and not written else str(error))
