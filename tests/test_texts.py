"""Captions become three texts; prompts give the host's tokenizer exactly one unweighted token for the concept."""

# SPDX-License-Identifier: GPL-3.0-or-later

import logging
from itertools import chain

import pytest
import torch
from safetensors.torch import save_file

from purecc_pack.purecc import texts

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


REFUSED = [
    ("", "robot", "instance", "empty"),
    (" \n\t", "robot", "instance", "empty"),
    ("a robot on red", "robot", "instance", r"'a robot on red' has no \[v\].*'a \[v\] robot'"),
    ("a [v] robot and a [V] robot", "robot", "instance", "2 times"),
    ("a [v] dog", "robot", "instance", r"'a \[v\] dog'.*class word 'robot'"),
    ("two [v] robots", "robot", "instance", "singular or plural"),
    ("a [v] robot-like dog", "robot", "instance", "class word 'robot'"),
    ("a robot named [v]", "robot", "instance", "before the class word"),
    ("a ([v]) robot", "robot", "instance", "word of its own"),
    ("a [v]robot", "robot", "instance", "word of its own"),
    ("the[v] robot", "robot", "instance", "word of its own"),
    ("a [v]. A robot", "robot", "instance", "word of its own"),
    ("a [v]'s robot", "robot", "instance", "word of its own"),
    ("a dog in a {red|blue} hat, [v] robot", "robot", "instance", "'{'"),
    ("a [v] robot // and more", "robot", "instance", "'//'"),
    ("a [v] robot /* big */", "robot", "instance", r"'/\*'"),
    ("a [v] robot \\", "robot", "instance", "prompt boxes"),
    ("a [v] robot, embedding:other", "robot", "instance", "'embedding:'"),
    ("a [v] ro\0bot", "robot", "instance", "prompt boxes"),
    ("a [v] robot", "", "instance", "class word is empty"),
    ("a [v] robot", "[v] robot", "instance", "plain words"),
    ("a [v] robot", "a robot", "instance", "use 'robot'"),
    ("a [v] robot", "robot", "thing", "'thing'"),
    ("[v] style photo of a dog", "style", "style", "at the end"),
    ("a [v] style photo of a dog", "style", "style", "at the end"),
    ("a dog in [v] style on a beach", "style", "style", "at the end"),
    ("a dog in [v] styles", "style", "style", "at the end"),
    ("in [v] style", "style", "style", "words before"),
    ("a dog", "style", "style", r"has no \[v\].*'a picture in \[v\] style'"),
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


def test_trigger_words_call_the_embedding_before_the_class_word():
    assert texts.trigger_words("teddy bear", "bob-1.5") == "embedding:bob-1.5 teddy bear"


@pytest.mark.parametrize("name", ["a", "Robot_2", "_x", "my.robot-v1.5", "7", "console", "com", "ptx", "x" * 100])
def test_names_that_prompts_and_file_systems_take(name):
    assert texts.validate_name(name) == name


BAD_CHARACTERS = [
    "",
    " ",
    "a b",
    "a\n",
    "a,b",
    "a.",
    ".a",
    "-a",
    "..",
    "a/b",
    "a\\b",
    "../a",
    "a<b",
    "a[b",
    "a(b",
    "a:b",
    "é",
]
BAD_NAMES = ["CON", "nul", "Com1", "lpt9.txt", "aux.v2", "a.safetensors", "a.PT", "a.bin", "x" * 101]


@pytest.mark.parametrize("name", BAD_CHARACTERS + BAD_NAMES)
def test_names_that_would_break_are_refused(name):
    with pytest.raises(ValueError, match="name"):
        texts.validate_name(name)
    with pytest.raises(ValueError, match="name"):
        texts.prompt("a [v] robot", name)


PROMPTS = {
    "a [v] robot on red": "a embedding:NAME robot on red",
    "[v]": "embedding:NAME",
    "[v] robot": "embedding:NAME robot",
    "a photo of [V].": "a photo of embedding:NAME .",
    "a dog ([v])": r"a dog \( embedding:NAME \)",
    r"a dog \([v]\) (small)": r"a dog \( embedding:NAME \) \(small\)",
    "([v] robot:1.5) and ((more))": r"\( embedding:NAME robot:1.5\) and \(\(more\)\)",
    "[v]'s hat": "embedding:NAME 's hat",
    "a [v], a hat": "a embedding:NAME , a hat",
    "<[v]>": "< embedding:NAME >",
    "[[v]]": "[ embedding:NAME ]",
    "a [v]-robot": "a embedding:NAME -robot",
    "super[v]robot": "super embedding:NAME robot",
    '"[v] robot"!': '" embedding:NAME robot"!',
    "a\n[v]\trobot": "a embedding:NAME robot",
    r"a \[v]": r"a \ embedding:NAME",
    "unbalanced ([v] robot": r"unbalanced \( embedding:NAME robot",
    r"back \ slash \\(x) [v]": r"back \ slash \\(x\) embedding:NAME",
}


@pytest.mark.parametrize("text", PROMPTS)
def test_prompt_sets_the_embedding_between_spaces_and_escapes_parentheses(text):
    assert texts.prompt(text, "NAME") == PROMPTS[text]


def test_prompt_of_a_text_without_a_mark_is_literal_too():
    assert texts.prompt("a robot (blue)", "NAME") == r"a robot \(blue\)"


@pytest.fixture(scope="module")
def tokenizer(comfyui, tmp_path_factory):
    """The host's SD3 tokenizer beside an embedding of each name that the tests use."""
    from comfy.text_encoders.sd3_clip import SD3Tokenizer

    folder = tmp_path_factory.mktemp("embeddings")
    for name in ("NAME", "my.robot-v1.5"):
        save_file({"clip_l": torch.ones(1, 768), "clip_g": torch.ones(1, 1280)}, folder / f"{name}.safetensors")
    return SD3Tokenizer(embedding_directory=str(folder))


def ids(tokenizer, text, **options):
    return {key: list(chain(*rows)) for key, rows in tokenizer.tokenize_with_weights(text, **options).items()}


@pytest.mark.parametrize("name", ["NAME", "my.robot-v1.5"])
@pytest.mark.parametrize("text", PROMPTS)
def test_host_tokenizer_finds_one_unweighted_embedding_and_the_text_around_it(tokenizer, text, name, caplog):
    caplog.set_level(logging.WARNING)
    ours = ids(tokenizer, texts.prompt(text, name))
    assert "does not exist" not in caplog.text
    # The words alone, with the host told to take parentheses as they are.
    plain = ids(tokenizer, text.replace("[v]", " ").replace("[V]", " "), disable_weights=True)
    for key, width in (("l", 768), ("g", 1280), ("t5xxl", 1280)):
        embeddings = [token for token, _ in ours[key] if torch.is_tensor(token)]
        assert [token.shape for token in embeddings] == [(width,)], key
        assert {weight for _, weight in ours[key]} == {1.0}, key
        words = [token for token, _ in ours[key] if not torch.is_tensor(token)]
        expected = [token for token, _ in plain[key]]
        end = expected.index(49407 if key != "t5xxl" else 1)
        assert words[: end + 1] == expected[: end + 1], key


def test_the_cases_above_do_break_when_they_are_not_treated(tokenizer):
    def found(prompt):
        return [(token.shape[0], weight) for token, weight in ids(tokenizer, prompt)["l"] if torch.is_tensor(token)]

    assert found("a photo of embedding:NAME.") == []
    assert found("embedding:NAME's hat") == []
    assert found("a dog (embedding:NAME)")[0][1] > 1.0
    assert found("super embedding:NAMErobot") == []
