"""Captions become three texts."""

# SPDX-License-Identifier: GPL-3.0-or-later

import re

import pytest

from purecc_pack.purecc.text import texts

INSTANCE = {
    ("a [v] robot on red stripes", "robot"): "a robot on red stripes",
    ("  A [V]\trobot\n on red  stripes ", "Robot"): "A robot on red stripes",
    ("[v] robot", "robot"): "robot",
    ("two [v] robots, side by side", "robots"): "two robots, side by side",
    ("a [v] small red robot's head", "robot"): "a small red robot's head",
    ("my [v] teddy bear (sitting)", "teddy  bear"): "my teddy bear (sitting)",
    ('a sign saying "[v] robot".', "robot"): 'a sign saying "robot".',
    ("a ([v] robot) on blue", "robot"): "a (robot) on blue",
    (r"a robot \([v] robot\)", "robot"): r"a robot \(robot\)",
}


@pytest.mark.parametrize(("caption", "class_word"), INSTANCE)
def test_instance_caption_loses_only_its_mark(caption, class_word):
    parsed = texts.parse_caption(caption, class_word)
    assert parsed.base == INSTANCE[caption, class_word]
    assert parsed.complete == " ".join(caption.replace("[V]", "[v]").split())
    assert parsed.target == f"[v] {' '.join(class_word.split())}"
    assert (parsed.class_word, parsed.kind) == (" ".join(class_word.split()), "instance")


ARTICLES = {
    "a [v] owl": "an owl",
    "A [v] owl": "An owl",
    "an [v] robot": "a robot",
    "An [v] robot": "A robot",
    "a [v] unicorn": "a unicorn",
    "a [v] umbrella": "an umbrella",
    "a [v] unnamed robot": "an unnamed robot",
    "a [v] hourglass": "an hourglass",
    "a [v] one-eyed robot": "a one-eyed robot",
    "a [v] 8-bit robot": "an 8-bit robot",
    "an ([v] robot)": "a (robot)",
    "the [v] owl": "the owl",
    "panda [v] owl": "panda owl",
    "a big [v] owl": "a big owl",
}


@pytest.mark.parametrize("caption", ARTICLES)
def test_article_is_fitted_to_the_word_that_follows_when_the_mark_goes(caption):
    parsed = texts.parse_caption(caption, caption.split()[-1].strip("()"))
    assert parsed.complete == caption
    assert parsed.base == ARTICLES[caption]


STYLE = {
    "a dog, in [v] style": "a dog",
    "a dog in [V] style": "a dog",
    "a dog, in the style of [v].": "a dog.",
    "A dog. In the style of [v]": "A dog",
    "a dog in the [v] style!": "a dog!",
    "a dog, painted in a [v] style": "a dog",
    "a portrait drawn in the style of [v]": "a portrait",
    "a dog, [v] style": "a dog",
    "in [v] style, a dog in a park": "a dog in a park",
    "[v] style: a dog": "a dog",
    "a dog, in [v] style, on a beach": "a dog, on a beach",
    "a dog in a hat, [v] style, on a beach": "a dog in a hat, on a beach",
}


@pytest.mark.parametrize("caption", STYLE)
def test_style_caption_loses_its_phrase(caption):
    parsed = texts.parse_caption(caption, "style", "style")
    assert parsed.base == STYLE[caption]
    assert parsed.complete == caption.replace("[V]", "[v]")
    assert parsed.target == "[v] style"


def test_style_class_word_may_be_another():
    parsed = texts.parse_caption("a dog, in [v] pencil sketch", "pencil sketch", "style")
    assert (parsed.base, parsed.target) == ("a dog", "[v] pencil sketch")


MISPLACED = [
    ("a [v] dog", "robot"),
    ("two [v] robots", "robot"),
    ("a [v] robot-like dog", "robot"),
    ("a robot named [v]", "robot"),
    ("a ([v]) robot", "robot"),
    ("a [v]robot", "robot"),
    ("the[v] robot", "robot"),
    ("a [v]. A robot", "robot"),
    ("a [v]'s robot", "robot"),
    ("[v] style photo of a dog", "style"),
    ("a [v] style photo of a dog", "style"),
    ("a dog in [v] style on a beach", "style"),
    ("a dog in [v] styles", "style"),
    ("in [v] style", "style"),
]


@pytest.mark.parametrize(("caption", "class_word"), MISPLACED)
def test_a_misplaced_mark_is_refused_with_the_caption_and_an_example(caption, class_word):
    example = {"robot": "'a [v] robot'", "style": "'a dog, in [v] style'"}[class_word]
    with pytest.raises(ValueError, match=rf"{re.escape(repr(caption))}.*{re.escape(example)}"):
        texts.parse_caption(caption, class_word, "style" if class_word == "style" else "instance")


REFUSED = [
    ("", "robot", "instance", r"'a \[v\] robot'"),
    (" \n\t", "robot", "instance", r"'a \[v\] robot'"),
    ("a robot on red", "robot", "instance", r"'a robot on red'.*'a \[v\] robot'"),
    ("a dog", "style", "style", r"'a dog'.*'a picture in \[v\] style'"),
    ("a [v] robot and a [V] robot", "robot", "instance", r"'a \[v\] robot and a \[V\] robot'.* 2 .*'a \[v\] robot'"),
    ("a dog in a {red|blue} hat, [v] robot", "robot", "instance", "'{'"),
    ("a [v] robot // and more", "robot", "instance", "'//'"),
    ("a [v] robot /* big */", "robot", "instance", r"'/\*'"),
    ("a [v] robot \\", "robot", "instance", r"'\\\\'"),
    ("a [v] robot, embedding:other", "robot", "instance", "'embedding:'"),
    ("a [v] ro\0bot", "robot", "instance", r"'\\x00'"),
    ("a [v] robot", "", "instance", "class word"),
    ("a [v] robot", "[v] robot", "instance", r"class word '\[v\] robot'"),
    ("a [v] robot", "a robot", "instance", "'a robot'.*'robot'"),
    ("a [v] robot", "robot", "thing", "'thing'"),
]


@pytest.mark.parametrize(("caption", "class_word", "kind", "message"), REFUSED)
def test_captions_that_would_have_to_be_guessed_are_refused(caption, class_word, kind, message):
    with pytest.raises(ValueError, match=message):
        texts.parse_caption(caption, class_word, kind)


@pytest.mark.parametrize(
    ("class_word", "kind", "complete", "base"),
    [
        ("robot", "instance", "a [v] robot", "a robot"),
        ("owl", "instance", "a [v] owl", "an owl"),
        ("style", "style", "a picture in [v] style", "a picture"),
    ],
)
def test_default_caption_is_one_that_parses(class_word, kind, complete, base):
    parsed = texts.parse_caption(texts.default_caption(class_word, kind), class_word, kind)
    assert (parsed.complete, parsed.base) == (complete, base)


@pytest.mark.parametrize(
    "word",
    ["robot", "Owl", " hot  dog ", "hour glass", "unicorn", "pair of scissors", "éléphant", "狗", "หมา", "8-ball"],
)
def test_the_prompt_of_a_class_is_the_base_text_of_its_default_caption(word):
    assert texts.class_prompt(word) == texts.parse_caption(texts.default_caption(word), word).base
