"""Captions as other trainers, systems and languages write them."""

import time
import unicodedata

import pytest

from purecc_pack.purecc.text.captions import CaptionInput, marked, read_captions
from purecc_pack.purecc.text.concept import Concept
from purecc_pack.purecc.text.texts import parse_caption, prompt


@pytest.mark.parametrize("of_caption", ["NFC", "NFD"])
@pytest.mark.parametrize("of_word", ["NFC", "NFD"])
@pytest.mark.parametrize("word", ["Loïc", "café", "각시", "ガラス", "Việt"])
def test_equal_texts_are_equal_whatever_their_code_points(word, of_caption, of_word):
    caption = unicodedata.normalize(of_caption, f"photo of {word} on grass")
    given = unicodedata.normalize(of_word, word)
    (by_trigger,) = read_captions(CaptionInput([caption], trigger=given), 1, Concept("man"))
    (by_class,) = read_captions(CaptionInput([caption]), 1, Concept(given))
    assert by_trigger.texts.base == "photo of man on grass"
    assert by_class.texts.complete == f"photo of [v] {unicodedata.normalize('NFC', word)} on grass"


def test_characters_that_nobody_sees_and_either_apostrophe_change_nothing():
    assert marked("a d\u200bog\u00a0on grass\ufeff", Concept("dog")) == "a [v] dog on grass"
    assert parse_caption("a [v] bird\u2019s nest", "bird's nest").base == "a bird\u2019s nest"
    assert parse_caption("a \uff3bV\uff3d dog", "dog").complete == "a [v] dog"


@pytest.mark.parametrize(
    ("caption", "class_word", "base"),
    [
        ("一只 [v] 狗坐在草地上", "狗", "一只 狗坐在草地上"),
        ("一只[v]狗坐在草地上", "狗", "一只狗坐在草地上"),
        ("草地上，[v] 可爱的狗", "狗", "草地上，可爱的狗"),
        ("草の上に座っている[v]犬。", "犬", "草の上に座っている犬。"),
        ("[v] 개가 풀밭에 앉아 있다", "개", "개가 풀밭에 앉아 있다"),
        ("รูปถ่ายของ [v] สุนัขบนหญ้า", "สุนัข", "รูปถ่ายของ สุนัขบนหญ้า"),
        ("एक [v] कुत्ता घास पर", "कुत्ता", "एक कुत्ता घास पर"),
        ("一只[v] dog坐在草地上", "dog", "一只dog坐在草地上"),
    ],
)
def test_languages_without_spaces_mark_the_concept_as_they_write_it(caption, class_word, base):
    assert parse_caption(caption, class_word).base == base
    assert prompt(caption, "dog1").count("embedding:dog1 ") == 1


@pytest.mark.parametrize(
    ("caption", "class_word", "trigger", "complete"),
    [
        ("一只狗坐在草地上", "狗", "", "一只[v] 狗坐在草地上"),
        ("一只sks狗坐在草地上", "狗", "sks", "一只[v]狗坐在草地上"),
        ("小黑坐在草地上", "狗", "小黑", "[v] 狗坐在草地上"),
        ("สุนัขบนหญ้า", "สุนัข", "", "[v] สุนัขบนหญ้า"),
        ("큰 개가 앉아 있다", "개", "", "큰 [v] 개가 앉아 있다"),
    ],
)
def test_languages_without_spaces_are_marked(caption, class_word, trigger, complete):
    text = marked(caption, Concept(class_word), trigger)
    assert text == complete
    assert class_word in parse_caption(text, class_word).base


def test_a_word_is_not_found_inside_another():
    for caption, word in (("무지개 아래", "개"), ("microrobot", "robot"), ("कुत्ता", "कुत")):
        with pytest.raises(ValueError, match="does not name"):
            marked(caption, Concept(word))


def test_a_style_in_chinese():
    assert parse_caption("湖边的房子，[v]风格", "风格", "style").base == "湖边的房子"
    assert parse_caption(marked("湖边的房子。", Concept("风格", "style")), "风格", "style").base == "湖边的房子"


@pytest.mark.parametrize(
    ("caption", "trigger", "told"),
    [
        ("sks dog and another sks dog", "sks", ["'sks dog and another sks dog'", "'sks' 2 times"]),
        ("photo of (dog:1.3) on grass", "", ["'photo of (dog:1.3) on grass'", "'(dog:1.3)'"]),
        ("photo of ((red dog):.8)", "", ["'photo of ((red dog):.8)'"]),
        ("dog <lora:cute:0.8>", "", ["'dog <lora:cute:0.8>'", "'<lora:cute:0.8>'"]),
        ("sks dog in a {red|blue} hat", "sks", ["'sks dog in a {red|blue} hat'", "'{'"]),
        ("A [V] cat", "", ["'A [V] cat'", "'dog'"]),
    ],
)
def test_a_problem_quotes_the_users_own_text(caption, trigger, told):
    (read,) = read_captions(CaptionInput([caption], trigger=trigger), 1, Concept("dog"))
    assert read.texts is None and all(part in read.problem for part in told), read.problem
    assert read.text == caption


def test_parentheses_and_ratios_are_words():
    (read,) = read_captions(CaptionInput(["a dog (brown), screen (16:9)"]), 1, Concept("dog"))
    assert read.texts.base == "a dog (brown), screen (16:9)"


def test_blank_lines_between_captions_separate_them():
    for lines in ("a dog\n\na brown dog\n \ndog", "a dog\na brown dog\n\ndog"):
        assert [c.texts.base for c in read_captions(CaptionInput([lines]), 3, Concept("dog"))] == [
            "a dog",
            "a brown dog",
            "dog",
        ]
    with pytest.raises(ValueError, match=r"3 images and 6 captions \(blank: 2, 5\)"):
        read_captions(CaptionInput(["dog\n\ndog\ndog\n\ndog"]), 3, Concept("dog"))


@pytest.mark.parametrize("piece", ["x", "dog ", "狗", "a-", "((", "a [v", "((x:", "dog, in style, "])
def test_reading_is_linear(piece):
    """A quadratic step would take minutes."""
    start = time.perf_counter()
    for kind in ("instance", "style"):
        for end in ("", " [v] dog", " [v] style"):
            (read,) = read_captions(CaptionInput([piece * 20_000 + end], trigger="sks"), 1, Concept("dog", kind))
            assert len(read.problem) < 1000
    assert time.perf_counter() - start < 5
