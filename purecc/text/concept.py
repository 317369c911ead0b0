"""Describe the concept to train."""

# SPDX-License-Identifier: GPL-3.0-or-later

from dataclasses import dataclass


@dataclass(frozen=True)
class Concept:
    """A concept by the word for its class.

    Attributes:
        class_word: what the concept is an instance of ("robot"); for a style usually "style".
        kind: "instance" or "style".
    """

    class_word: str
    kind: str = "instance"
