"""Refuse texts that are too long to encode, or broken."""

# SPDX-License-Identifier: GPL-3.0-or-later

import re

MOST_LETTERS = 10_000
"""Of a text that is encoded."""

_HALF = re.compile("[\ud800-\udfff]")


def check_letters(text: str, subject: str) -> None:
    """Check that a text can be encoded: a model attends from every token to every other.

    Args:
        text: of one prompt.
        subject: names it in the message.

    Raises:
        ValueError: it is too long, or has half of a character, as cut emoji have.
    """
    if len(text) > MOST_LETTERS:
        raise ValueError(f"{subject} has {len(text)} letters. Shorten it to at most {MOST_LETTERS}.")
    if half := _HALF.search(text):
        raise ValueError(f"{subject} contains {half[0]!r}, which is half of a character. Remove it.")
