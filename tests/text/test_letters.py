"""A text that would cost too much to encode, or holds half of a character, is refused by name wherever it is read."""

import re

import pytest


@pytest.mark.parametrize(
    ("text", "why"),
    [("word " * 2001, r"has 100\d\d letters\. Shorten it to at most 10000\."), ("a \ud83e b", "half of a character")],
)
def test_a_text_that_cannot_be_encoded_is_refused(text, why):
    from purecc_pack.purecc.text.captions import CaptionInput, read_captions
    from purecc_pack.purecc.text.concept import Concept
    from purecc_pack.purecc.text.texts import parse_caption, prompt

    with pytest.raises(ValueError, match=why):
        parse_caption(f"a [v] robot {text}", "robot")
    with pytest.raises(ValueError, match=why):
        prompt(text, "name")
    (read,) = read_captions(CaptionInput((f"a [v] robot {text}",)), 1, Concept("robot", "instance"))
    assert re.search(why, read.problem)


def test_the_longest_text_is_read():
    from purecc_pack.purecc.text.letters import MOST_LETTERS, check_letters

    check_letters("x" * MOST_LETTERS, "it")
    check_letters("🤖", "it")
