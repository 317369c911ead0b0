"""Places in captions."""

import pytest

from purecc_pack.purecc.text.places import LEFT, MIDDLE, PLACES, RIGHT, texts_at
from purecc_pack.purecc.text.texts import parse_caption


def at(caption, word, place):
    made = texts_at(parse_caption(caption, word), place)
    return None if made is None else (made.complete, made.base)


@pytest.mark.parametrize(
    ("caption", "word", "place", "complete"),
    [
        ("a [v] robot", "robot", LEFT, "a [v] robot on the left"),
        ("a [v] robot on red stripes", "robot", RIGHT, "a [v] robot on the right on red stripes"),
        (
            "a [v] red robot, at the left side, in ink style",
            "robot",
            MIDDLE,
            "a [v] red robot in the middle, in ink style",
        ),
        ("the [v] robot in the center of the image by a lake", "robot", LEFT, "the [v] robot on the left by a lake"),
        ("ein [v] Hund rechts auf Gras", "Hund", LEFT, "ein [v] Hund links auf Gras"),
        ("une [v] tasse sur la table", "tasse", MIDDLE, "une [v] tasse au milieu sur la table"),
        ("una [v] taza en el centro sobre la mesa", "taza", RIGHT, "una [v] taza a la derecha sobre la mesa"),
    ],
)
def test_the_place_follows_the_class_word_and_replaces_another(caption, word, place, complete):
    found = at(caption, word, place)
    assert found is not None and found[0] == complete
    assert found[1] == complete.replace("[v] ", "", 1)


@pytest.mark.parametrize(
    ("caption", "word"),
    [
        ("\u4e00\u53ea[v]\u72d7", "\u72d7"),
        ("[v] robot", "robot"),
        ("a [v] robot to the left of a tree", "robot"),
        ("a [v] robot on the right of a tree", "robot"),
        ("a [v] robot with its left arm up", "robot"),
        ("ein [v] Hund links von einem Baum", "Hund"),
    ],
)
def test_a_caption_without_words_for_it_or_with_others_of_its_own_stays(caption, word):
    assert [at(caption, word, place) for place in PLACES] == [None] * 3
