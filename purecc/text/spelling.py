"""Compare words in any script: equal code points, and where a word begins and ends."""

# SPDX-License-Identifier: GPL-3.0-or-later

import re
import unicodedata

_UNSPACED = (
    "\u0e00-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\u1b00-\u1b7f\u2e80-\u2fdf\u3005-\u3007\u3040-\u312f"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua980-\ua9df\uf900-\ufaff\uff66-\uff9f\U0001b000-\U0001b16f"
    "\U00020000-\U0003ffff"
)
_HANGUL = "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af"
_MARKS = "".join(chr(code) for code in range(0x300, 0x10000) if unicodedata.category(chr(code)).startswith("M"))
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\ufeff"))
_APOSTROPHES = "'\u2019\u02bc"

UNSPACED = f"[{_UNSPACED}]"
"""A character of a script without spaces between words: Thai to Myanmar, Khmer, Javanese, kana, Chinese."""

LETTERS = rf"\w{_MARKS}"
"""Inside of a character class: letters, digits, _ and the combining marks that `\\w` lacks, as in Thai and Hindi."""

_SPACED = rf"(?:(?!{UNSPACED})\w|[{_MARKS}])"
_JOINS = re.compile(f"[{_UNSPACED}{_HANGUL}][{_MARKS}]*$")  # Korean joins particles to the ends of words


def plain(text: str) -> str:
    """Collapse white space, compose letters with their accents (NFC) and drop invisible characters.

    Equal texts are then equal strings, whatever program wrote them.
    """
    return " ".join(unicodedata.normalize("NFC", text.translate(_INVISIBLE)).split())


def quoted(text: str, most: int = 200) -> str:
    """Quote a text in a message, a long one by its beginning."""
    return repr(text if len(text) <= most else f"{text[:most].rstrip()}...")


def not_finite(count: int) -> str:
    """Return in words how many numbers are not finite: "1 number that is not finite"."""
    return "1 number that is not finite" if count == 1 else f"{count} numbers that are not finite"


def word_pattern(words: str, hyphens: bool = True) -> str:
    """Return a pattern that matches words up to the end of the last, with either apostrophe.

    "robot" ends before a space, but not in "robots"; 狗 ends before any other character.

    Args:
        words: as `plain` gives them.
        hyphens: whether "robot" does not end in "robot-like" either.
    """
    letters = "".join(f"[{_APOSTROPHES}]" if c in _APOSTROPHES else re.escape(c) for c in words)
    end = f"[{_MARKS}]" if _JOINS.search(words[-8:]) else _SPACED + r"|-\w" * hyphens
    return f"{letters.replace(chr(92) + ' ', chr(92) + 's+')}(?!{end})"


def whole_word_pattern(words: str, hyphens: bool = True) -> str:
    """Return `word_pattern` with the beginning of a word before it: "robot", but not in "microrobot"."""
    if re.match(UNSPACED, words):
        return word_pattern(words, hyphens)
    return rf"(?<!(?!{UNSPACED})\w)(?<![{_MARKS}{'-' * hyphens}])" + word_pattern(words, hyphens)
