"""Captions that people already have, as captions with [v]."""

import copy

import pytest

from purecc_pack.purecc.text.captions import CaptionInput, FileCaption, marked, read_captions, short_caption
from purecc_pack.purecc.text.concept import Concept
from purecc_pack.purecc.text.texts import parse_caption

DOG = Concept("dog")


@pytest.mark.parametrize(
    ("caption", "class_word", "expected", "base"),
    [
        ("a [v] dog on grass", "dog", "a [v] dog on grass", "a dog on grass"),
        ("a photo of a dog on grass", "dog", "a photo of a [v] dog on grass", "a photo of a dog on grass"),
        ("An owl, at night", "owl", "A [v] owl, at night", "An owl, at night"),
        ("my Teddy  Bear\nby dogs", "teddy bear", "my [v] Teddy Bear by dogs", "my Teddy Bear by dogs"),
        ("a dog-like robot dog", "dog", "a dog-like robot [v] dog", "a dog-like robot dog"),
        ("dog", "dog", "[v] dog", "dog"),
    ],
)
def test_an_instance_is_marked_before_its_class_word(caption, class_word, expected, base):
    text = marked(caption, Concept(class_word))
    assert text == expected
    assert parse_caption(text, class_word).base == base


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("photo of sks dog on grass", "photo of [v] dog on grass"),
        ("photo of an SKS dog", "photo of a [v] dog"),
        ("sks", "[v] dog"),
        ("sks, brown fur, grass", "[v] dog, brown fur, grass"),
        ("sks brown dog", "[v] brown dog"),
        ("a dog and sksy things", "a [v] dog and sksy things"),
    ],
)
def test_a_trigger_word_is_the_mark(caption, expected):
    text = marked(caption, DOG, "sks")
    assert text == expected
    parse_caption(text, "dog")


@pytest.mark.parametrize(
    ("caption", "trigger", "base"),
    [
        ("a house by a lake", "", "a house by a lake"),
        ("A house by a lake.", "", "A house by a lake"),
        ("a house in sks style", "sks", "a house"),
        ("a house, sks", "sks", "a house"),
        ("sks style, a house", "sks", "a house"),
    ],
)
def test_a_style_goes_at_the_end_or_where_its_trigger_is(caption, trigger, base):
    text = marked(caption, Concept("style", "style"), trigger)
    assert parse_caption(text, "style", "style").base == base


@pytest.mark.parametrize(
    ("caption", "message"),
    [
        ("a cat on grass", r"'a cat on grass'.*'dog'.*'a \[v\] dog'"),
        ("two dogs", "'two dogs'.*'dog'"),
        ("a dog beside a dog", "'dog' 2"),
    ],
)
def test_a_caption_that_does_not_say_where_the_concept_is_is_refused(caption, message):
    with pytest.raises(ValueError, match=message):
        marked(caption, DOG)


@pytest.mark.parametrize("kind", ["instance", "style"])
@pytest.mark.parametrize("scene", ["", "on a red sofa", "a red sofa, a window.", "  by\nthe sea ; "])
def test_the_short_form_can_always_be_read(kind, scene):
    texts = parse_caption(short_caption(scene, Concept("toy", kind)), "toy", kind)
    rest = " ".join(scene.split()).rstrip(" .;")
    expected = {"instance": f"a toy, {rest}" if rest else "a toy", "style": rest or "a picture"}
    assert texts.base == expected[kind]
    assert texts.target == "[v] toy"


@pytest.mark.parametrize(
    ("scene", "expected"),
    [
        ("a dog next to a cat.", "a [v] dog next to a cat"),
        ("The small brown dog, asleep", "The small brown [v] dog, asleep"),
        ("an old dog", "an old [v] dog"),
        ("dog on grass", "[v] dog on grass"),
        ("beside a dog", "a [v] dog, beside a dog"),
        ("a cat on a sofa with a dog", "a [v] dog, a cat on a sofa with a dog"),
        ("a dog beside a dog", "a [v] dog, a dog beside a dog"),
        ("a dog-like robot", "a [v] dog, a dog-like robot"),
        ("a hot-dog stand", "a [v] dog, a hot-dog stand"),
        ("two dogs", "a [v] dog, two dogs"),
    ],
)
def test_a_scene_that_begins_with_the_class_word_is_marked_there(scene, expected):
    assert short_caption(scene, DOG) == expected
    parse_caption(expected, "dog")


def test_an_article_before_the_mark_is_fitted():
    assert short_caption("an owl at night", Concept("owl")) == "a [v] owl at night"
    assert short_caption("a house with a style of its own", Concept("style", "style")).endswith("own, in [v] style")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (CaptionInput(), ["a dog"] * 3),
        (CaptionInput(["a [v] dog by the sea"]), ["a dog by the sea"] * 3),
        (CaptionInput(["a dog\na brown dog\ndog"]), ["a dog", "a brown dog", "dog"]),
        (CaptionInput(["sks", "a sks dog", "sks, at night"], trigger="sks"), ["dog", "a dog", "dog, at night"]),
        (CaptionInput(scene="on grass"), ["a dog, on grass"] * 3),
        (CaptionInput(["a dog", "", ""], "on grass\non snow\non sand"), ["a dog", "a dog, on snow", "a dog, on sand"]),
    ],
)
def test_every_image_has_a_caption(given, expected):
    assert [c.texts.base for c in read_captions(given, 3, DOG)] == expected


@pytest.mark.parametrize(
    ("given", "values"),
    [
        (CaptionInput(["a dog", "a dog"]), "3.*2"),
        (CaptionInput(scene="on grass\non snow"), "3.*2"),
        (CaptionInput(["a dog"], scene="on grass"), "'scene'"),
    ],
)
def test_a_wrong_number_of_captions_is_refused(given, values):
    with pytest.raises(ValueError, match=values):
        read_captions(given, 3, DOG)


def test_a_problem_of_one_caption_is_stored_in_it():
    first, second, third = read_captions(CaptionInput(["a dog", "", "a cat"]), 3, DOG)
    assert (first.problem, first.texts.base) == ("", "a dog")
    assert second.texts is None and "'scene'" in second.problem
    assert third.texts is None and "'a cat'" in third.problem


def test_a_caption_of_a_file_can_be_copied():
    """The host copies the inputs of a node that fails, and its queue stops for ever where it cannot."""
    (copied,) = copy.deepcopy([FileCaption("a [v] dog", "a.png", "a.txt")])
    assert (copied, copied.image, copied.file) == ("a [v] dog", "a.png", "a.txt")
