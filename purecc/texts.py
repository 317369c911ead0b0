r"""Captions and prompts: where the concept is, and the words a model sees.

A caption marks the concept once by `[v]` (or `[V]`). From it come the three texts of the paper: complete, base (the
same without the concept's mark) and target (the concept alone). `prompt` turns a text into the prompt that both
training encodes and a user types into a stock prompt box, so that both give the same tokens.
"""

# SPDX-License-Identifier: GPL-3.0-or-later

import functools
import re
from dataclasses import dataclass

MARKER = "[v]"
KINDS = ("instance", "style")

_MARKER = re.compile(r"\[v\]", re.IGNORECASE)
_EDGE = r"(?![\w]|-\w)"  # a word ends here: neither "robots" nor "robot-like" is "robot"
_CLASS_WORD = re.compile(r"\w+(?:[ '’-]\w+)*")
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_-])?")
_NAME_LENGTH = 100
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
_FILE_ENDING = re.compile(r"\.(?:safetensors|sft|ckpt|pt|pt2|pth|bin|pkl)$", re.IGNORECASE)

# What ComfyUI's prompt boxes read as something else than text: choices, comments, escapes of these, embeddings.
_SYNTAX = re.compile(r"[{}]|//|/\*|\\\||\\$|embedding:|[\x00-\x1f\x7f-\x9f]", re.IGNORECASE)

# Spelling tells a from an, but for these beginnings.
_AN = re.compile(r"hour|honest|hono|heir|8|11\b|18\b", re.IGNORECASE)
_A = re.compile(r"uni(?![ndm])|u-|us[aeu]|ut[eio]|ur[ai]|ufo|uk|eu|ewe|one\b|once\b", re.IGNORECASE)


@dataclass(frozen=True)
class ConceptTexts:
    """The three texts of one training picture. Each goes through `prompt` before it is encoded.

    Attributes:
        complete: the caption, the concept marked by `[v]`: "a [v] robot on red stripes".
        base: the same without the concept: "a robot on red stripes".
        target: the concept alone: "[v] robot".
        class_word: what the concept is one of: "robot".
        kind: "instance" or "style".
    """

    complete: str
    base: str
    target: str
    class_word: str
    kind: str


def parse_caption(caption: str, class_word: str, kind: str = "instance") -> ConceptTexts:
    """Splits a caption into complete, base and target text.

    White space is collapsed to single spaces. For an instance `[v]` is a word of its own before the class word, with at
    most other words between ("a [v] red robot"); the base text loses it, and an article before it is fitted to the word
    after it by its spelling ("a [v] owl" becomes "an owl").

    For a style the whole phrase goes. With S the class word, phrases are "in [v] S", "in the [v] S", "in a [v] S" and
    "in the S of [v]", each also after "painted", "drawn" and the like. They stand at the end ("a dog in [v] style"), at
    the start before a comma or colon, or between two commas; set off by a comma or colon the bare "[v] S" will do.

    Args:
        caption: one picture's text.
        class_word: one or more words, such as "robot", "teddy bear"; for a style usually "style". Its case is ignored,
            its number is not: a caption must have it as it is given.
        kind: "instance" or "style".

    Raises:
        ValueError: the caption is empty, does not mark the concept exactly once, does not have it in a form above,
            holds prompt syntax, or the class word or kind is not usable. The message names the caption and the remedy.
    """
    class_word = _checked_class_word(class_word)
    example = default_caption(class_word, kind)
    text = _MARKER.sub(MARKER, _plain(caption))
    if not text:
        raise ValueError(f"A caption is empty: describe the picture and mark the concept, as in {example!r}.")
    count = text.count(MARKER)
    if count == 0:
        raise ValueError(f"Caption {text!r} has no [v]: mark the concept with it, as in {example!r}.")
    if count > 1:
        raise ValueError(f"Caption {text!r} has [v] {count} times: mark the concept once, as in {example!r}.")
    base = (_instance_base if kind == "instance" else _style_base)(text, class_word)
    return ConceptTexts(text, base, f"{MARKER} {class_word}", class_word, kind)


def default_caption(class_word: str, kind: str = "instance") -> str:
    """Returns the caption for pictures that come without any: "a [v] robot", or "a picture in [v] style"."""
    class_word = _checked_class_word(class_word)
    if kind not in KINDS:
        raise ValueError(f"Unknown kind of concept {kind!r}: use 'instance' or 'style'.")
    return f"a {MARKER} {class_word}" if kind == "instance" else f"a picture in {MARKER} {class_word}"


def prompt(text: str, name: str) -> str:
    r"""Returns the prompt of a text for ComfyUI's stock text nodes, with `embedding:NAME` in place of `[v]`.

    The embedding stands between spaces, or the host would take a full stop or bracket after it for part of its name.
    Parentheses of the text are literal, so they are written \( and \), those that already are stay: the host then
    re-weights nothing. Texts without `[v]` go through here as well, for the same reason.

    Raises:
        ValueError: the name is not usable, or the text holds what ComfyUI's prompt boxes read as something else than
            text: { } // /* a backslash at the end or before |, "embedding:", control characters.
    """
    embedding = f" embedding:{validate_name(name)} "
    literal = re.sub(r"(?<!\\)([()])", r"\\\1", _plain(text))
    return " ".join(_MARKER.sub(embedding, literal).split())


@functools.cache
def class_prompt(class_word: str) -> str:
    """Returns the plainest prompt of a class: "a robot"."""
    return parse_caption(default_caption(class_word), class_word).base


def trigger_words(class_word: str, name: str) -> str:
    """Returns the words that call the concept in a prompt: "embedding:NAME robot"."""
    return prompt(f"{MARKER} {_checked_class_word(class_word)}", name)


def validate_name(name: str) -> str:
    """Returns the name if it is a file name on every system and `embedding:NAME` finds that file.

    Raises:
        ValueError: not 1 to 100 of A-Z a-z 0-9 _ - . that begin with neither - nor . and do not end in a full stop,
            a name Windows reserves, or one that ends like a model file.
    """
    if len(name) > _NAME_LENGTH:
        raise ValueError(f"The adapter name {name!r} is longer than {_NAME_LENGTH} characters.")
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} cannot be an adapter name: use letters A-Z, digits, '_', '-' and '.' alone, beginning with a "
            "letter, digit or '_' and not ending in '.', because prompts refer to it as embedding:NAME."
        )
    if _RESERVED.fullmatch(name):
        raise ValueError(f"{name!r} cannot be an adapter name: Windows reserves it. Use another, such as 'my_{name}'.")
    # The host tries the bare name as a file first, so it could find a file "x.pt" instead of "x.pt.safetensors".
    if ending := _FILE_ENDING.search(name):
        raise ValueError(f"{name!r} cannot be an adapter name: give it without the file ending {ending[0]!r}.")
    return name


def _plain(text: str) -> str:
    """Collapses white space and refuses prompt syntax."""
    text = " ".join(text.split())
    if found := _SYNTAX.search(text):
        raise ValueError(
            f"The text {text!r} holds {found[0]!r}, which ComfyUI's prompt boxes do not read as text: leave it out."
        )
    return text


def _checked_class_word(class_word: str) -> str:
    word = " ".join(class_word.split())
    if not word:
        raise ValueError("The class word is empty: say what the concept is one of, such as 'robot' (a style: 'style').")
    if not _CLASS_WORD.fullmatch(word):
        raise ValueError(f"The class word {word!r} must be plain words, such as 'robot' or 'teddy bear', without [v].")
    if re.match(r"(?:an?|the)\s", word, re.IGNORECASE):
        raise ValueError(f"The class word {word!r} must not begin with an article: use {word.split(' ', 1)[1]!r}.")
    return word


def class_pattern(class_word: str) -> str:
    """A pattern that finds the class word as words of their own, where its beginning is one."""
    return r"\s+".join(map(re.escape, class_word.split())) + _EDGE


def _article(following: str) -> str:
    if _AN.match(following):
        return "an"
    return "an" if following[:1].lower() in "aeiou" and not _A.match(following) else "a"


def _instance_base(text: str, class_word: str) -> str:
    before, _, after = text.partition(MARKER)
    opened = re.search(r"""(?:^|\s)[("'“‘\\]*$""", before)
    if not opened or not re.match(rf"\s+(?:[\w'’-]+\s+)*?{class_pattern(class_word)}", after, re.IGNORECASE):
        raise ValueError(
            f"Caption {text!r} does not have [v] as a word of its own before the class word {class_word!r}: write it "
            f"as in {default_caption(class_word)!r}, with the class word spelled as you gave it (singular or plural)."
        )
    after = after.lstrip()
    article = re.search(r"""(?<![\w-])an?(?=\s+[("'“‘\\]*$)""", before, re.IGNORECASE)
    if article:
        fitted = _article(after)
        if article[0][0].isupper():
            fitted = fitted.capitalize()
        before = before[: article.start()] + fitted + before[article.end() :]
    return before + after


_MADE = r"(?:(?:painted|drawn|rendered|made|done|shot|sketched|depicted|illustrated)\s+)?"


def _style_base(text: str, class_word: str) -> str:
    S, v = class_pattern(class_word), re.escape(MARKER)
    phrase = rf"{_MADE}in\s+(?:(?:the\s+|an?\s+)?{v}\s+{S}|the\s+{S}\s+of\s+{v})"
    either = rf"(?:{phrase}|{v}\s+{S})"
    forms = (
        (rf"(?:\s*[,;:.]\s*{either}|\s+{phrase})(?P<stop>\s*[.!]?)$", r"\g<stop>"),
        (rf"^{either}\s*[,;:.]\s*", ""),
        (rf"\s*,\s*{either}\s*(?=,)", ""),
    )
    for form, instead in forms:
        base, found = re.subn(form, instead, text, flags=re.IGNORECASE)
        if found and re.search(r"\w", base):
            return base.strip()
    raise ValueError(
        f"Caption {text!r} does not set the style off from what the picture shows: put it at the end, as in "
        f"'a dog, in [v] {class_word}' or 'a dog, in the {class_word} of [v]', with some words before it."
    )
