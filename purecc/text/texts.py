r"""Split captions into the three texts of the paper, and turn texts into prompts.

A caption marks the concept once with `[v]` (or `[V]`). It gives three texts: complete, base (the same without the
mark) and target (the concept alone). `prompt` turns a text into the prompt that training encodes and that a user types
into a stock prompt box, so that both give the same tokens.
"""

# SPDX-License-Identifier: GPL-3.0-or-later

import re
from dataclasses import dataclass

from .letters import check_letters
from .spelling import LETTERS, UNSPACED, plain, quoted, word_pattern

MARKER = "[v]"
KINDS = ("instance", "style")

_MARKER = re.compile(r"[\[［【][vｖ][\]］】]", re.IGNORECASE)
_CLASS_WORD = re.compile(rf"[{LETTERS}]+(?:[ '’ʼ・·-][{LETTERS}]+)*")
_CLASS_WORD_LENGTH = 100
_GAP = rf"(?:\s+|(?={UNSPACED}))"  # after [v]
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_-])?")
_NAME_LENGTH = 100
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
_FILE_ENDING = re.compile(r"\.(?:safetensors|sft|ckpt|pt|pt2|pth|bin|pkl)$", re.IGNORECASE)

# ComfyUI's prompt boxes do not read these as text: choices, comments, escapes of these, embeddings.
_SYNTAX = re.compile(r"[{}]|//|/\*|\\\||\\$|embedding:|[\x00-\x1f\x7f-\x9f]", re.IGNORECASE)

# Spelling decides between "a" and "an", except for these beginnings.
_AN = re.compile(r"hour|honest|hono|heir|8|11\b|18\b", re.IGNORECASE)
_A = re.compile(r"uni(?![ndm])|u-|us[aeu]|ut[eio]|ur[ai]|ufo|uk|eu|ewe|one\b|once\b", re.IGNORECASE)


@dataclass(frozen=True)
class ConceptTexts:
    """The three texts of one training image. Each goes through `prompt` before it is encoded.

    Attributes:
        complete: the caption, with the concept marked by `[v]`: "a [v] robot on red stripes".
        base: the same without the mark: "a robot on red stripes".
        target: the concept alone: "[v] robot".
        class_word: the class of the concept: "robot".
        kind: "instance" or "style".
    """

    complete: str
    base: str
    target: str
    class_word: str
    kind: str


def parse_caption(caption: str, class_word: str, kind: str = "instance", written: str = "") -> ConceptTexts:
    """Split a caption into complete, base and target text.

    The caption is read as `spelling.plain` gives it. For an instance, `[v]` is a word of its own before the class word;
    other words may stand between them ("a [v] red robot"). The base text drops it and adapts an article before it to
    the spelling of the next word ("a [v] owl" becomes "an owl").

    For a style, the base text drops the whole phrase. With S the class word, phrases are "in [v] S", "in the [v] S",
    "in a [v] S" and "in the S of [v]", each also after "painted", "drawn" and similar words. A phrase stands at the end
    ("a dog in [v] style"), at the start before a comma or colon, or between two commas. After a comma or colon the bare
    "[v] S" is enough.

    Args:
        caption: one image's text.
        class_word: one or more words, such as "robot", "teddy bear"; for a style usually "style". Case is ignored;
            singular and plural differ.
        kind: "instance" or "style".
        written: the user's own text, which messages quote, if `caption` was made from it.

    Raises:
        ValueError: the caption is empty, does not mark the concept exactly once in a form above, contains prompt
            syntax, or the class word or kind is not usable. The message names the caption and the remedy.
    """
    class_word = _checked_class_word(class_word)
    example = default_caption(class_word, kind)
    shown = quoted(plain(written or caption))
    text = _MARKER.sub(MARKER, _without_syntax(caption, f"Caption {shown}"))
    if not text:
        raise ValueError(f"The caption is empty. Describe the image and mark the concept, as in {example!r}.")
    count = text.count(MARKER)
    if count == 0:
        raise ValueError(f"Caption {shown} has no [v]. Mark the concept with it, as in {example!r}.")
    if count > 1:
        raise ValueError(f"Caption {shown} has [v] {count} times. Mark the concept once, as in {example!r}.")
    base = _instance_base(text, class_word) if kind == "instance" else _style_base(text, class_word)
    if base is None:
        raise ValueError(f"Caption {shown} {_MISPLACED[kind].format(word=class_word, example=example)}")
    return ConceptTexts(text, base, f"{MARKER} {class_word}", class_word, kind)


def default_caption(class_word: str, kind: str = "instance") -> str:
    """Return the caption of an image without one: "a [v] robot", or "a picture in [v] style"."""
    class_word = _checked_class_word(class_word)
    if kind not in KINDS:
        raise ValueError(f"Unknown kind of concept {kind!r}. Use 'instance' or 'style'.")
    return f"a {MARKER} {class_word}" if kind == "instance" else f"a picture in {MARKER} {class_word}"


def prompt(text: str, name: str, embedding: bool = True) -> str:
    r"""Return the prompt of a text for ComfyUI's stock text nodes, with `embedding:NAME` in place of `[v]`.

    Without `embedding` the name alone takes its place, as a trigger word.

    Spaces surround the embedding, because the host takes a full stop or bracket after it as part of its name.
    Parentheses of the text are literal: they are written \( and \) so that the host re-weights nothing, and escaped
    ones stay. Texts without `[v]` go through here for the same reason.

    Raises:
        ValueError: the name is not usable, or the text contains what ComfyUI's prompt boxes do not read as text:
            { } // /* a backslash at the end or before |, "embedding:", control characters.
    """
    concept = f" {'embedding:' if embedding else ''}{validate_name(name)} "
    literal = re.sub(r"(?<!\\)([()])", r"\\\1", _without_syntax(text, f"The text {quoted(text)}"))
    return " ".join(_MARKER.sub(concept, literal).split())


def has_marker(text: str) -> bool:
    """Return whether a text marks the concept by `[v]` or `[V]`."""
    return _MARKER.search(text) is not None


def class_prompt(class_word: str) -> str:
    """Return the plainest prompt of a class, the base text of its default caption: "a robot"."""
    word = _checked_class_word(class_word)
    return f"{_article(word)} {word}"


def trigger_words(class_word: str, name: str, embedding: bool = True) -> str:
    """Return the words that name the concept in a prompt: "embedding:NAME robot", or without embedding "NAME robot"."""
    return prompt(f"{MARKER} {_checked_class_word(class_word)}", name, embedding)


def validate_name(name: str) -> str:
    """Return the name if it is a file name on every system and `embedding:NAME` finds that file.

    Raises:
        ValueError: it is not 1 to 100 of A-Z a-z 0-9 _ - . with a letter, digit or _ first and no full stop last,
            Windows reserves it, or it ends like a model file.
    """
    if len(name) > _NAME_LENGTH:
        raise ValueError(f"The adapter name {name!r} is longer than {_NAME_LENGTH} characters. Shorten it.")
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} cannot be an adapter name, because prompts use it as embedding:NAME. Use only letters A-Z, "
            "digits, '_', '-' and '.', with a letter, digit or '_' first and no '.' last."
        )
    if _RESERVED.fullmatch(name):
        raise ValueError(
            f"Windows reserves {name!r}, so it cannot be an adapter name. Use another, such as 'my_{name}'."
        )
    # The host tries the bare name as a file first, so it could find a file "x.pt" instead of "x.pt.safetensors".
    if ending := _FILE_ENDING.search(name):
        raise ValueError(f"{name!r} cannot be an adapter name. Remove the file ending {ending[0]!r}.")
    return name


def _without_syntax(text: str, subject: str) -> str:
    """Return a text as `plain` gives it, and refuse prompt syntax; `subject` names the text in the message."""
    check_letters(text, subject)
    text = plain(text)
    if found := _SYNTAX.search(text):
        raise ValueError(
            f"{subject} contains {found[0]!r}, which ComfyUI's prompt boxes do not read as text. Remove it."
        )
    return text


def _checked_class_word(class_word: str) -> str:
    word = plain(class_word)
    if not word:
        raise ValueError(
            "The class word is empty. Name the class of the concept, such as 'robot' (for a style: 'style')."
        )
    if len(word) > _CLASS_WORD_LENGTH:
        raise ValueError(
            f"The class word {quoted(word, 40)} has {len(word)} characters. Use at most {_CLASS_WORD_LENGTH}."
        )
    if not _CLASS_WORD.fullmatch(word):
        raise ValueError(
            f"The class word {word!r} is not plain words. Use words such as 'robot' or 'teddy bear', without [v]."
        )
    if re.match(r"(?:an?|the)\s", word, re.IGNORECASE):
        raise ValueError(f"The class word {word!r} begins with an article. Use {word.split(' ', 1)[1]!r}.")
    return word


def _article(following: str) -> str:
    if _AN.match(following):
        return "an"
    return "an" if following[:1].lower() in "aeiou" and not _A.match(following) else "a"


_MISPLACED = {
    "instance": "does not have [v] as a word of its own before the class word {word!r}. Write it as in {example!r}, "
    "with the class word spelled as you gave it (singular or plural).",
    "style": "does not separate the style from what the image shows. Put the style at the end after some words, as in "
    "'a dog, in [v] {word}' or 'a dog, in the {word} of [v]'.",
}
_BEFORE = re.compile(rf"""(?:^|\s|{UNSPACED}|[\u3000-\u303f\uff00-\uff0f\uff1a-\uff20])[("'“‘\\「『（《]*$""")


def _instance_base(text: str, class_word: str) -> str | None:
    """Return the text without [v]; None if [v] is not a word of its own before the class word."""
    before, _, after = text.partition(MARKER)
    between = rf"(?:[{LETTERS}'’-]+\s+)*?{UNSPACED}*?"
    if not _BEFORE.search(before) or not re.match(_GAP + between + word_pattern(class_word), after, re.IGNORECASE):
        return None
    after = after.lstrip()
    article = re.search(r"""(?<![\w-])an?(?=\s+[("'“‘\\]*$)""", before, re.IGNORECASE)
    if article:
        fitted = _article(after)
        if article[0][0].isupper():
            fitted = fitted.capitalize()
        before = before[: article.start()] + fitted + before[article.end() :]
    return before + after


_MADE = r"(?:(?:painted|drawn|rendered|made|done|shot|sketched|depicted|illustrated)\s+)?"


def _style_base(text: str, class_word: str) -> str | None:
    """Return the text without the phrase of the style; None if it has none."""
    S, v = word_pattern(class_word), re.escape(MARKER) + _GAP
    phrase = rf"{_MADE}in\s+(?:(?:the\s+|an?\s+)?{v}{S}|the\s+{S}\s+of\s+{re.escape(MARKER)})"
    either = rf"(?:{phrase}|{v}{S})"
    forms = (
        (rf"(?:\s*[,;:.，、；：。]\s*{either}|\s+{phrase})(?P<stop>\s*[.!。！]?)$", r"\g<stop>"),
        (rf"^{either}\s*[,;:.，、；：。]\s*", ""),
        (rf"\s*[,，、]\s*{either}\s*(?=[,，、])", ""),
    )
    for form, instead in forms:
        base, found = re.subn(form, instead, text, flags=re.IGNORECASE)
        if found and re.search(r"\w", base):
            return base.strip()
    return None
