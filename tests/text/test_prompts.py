"""Prompts give the host's tokenizer exactly one unweighted token for the concept."""

# SPDX-License-Identifier: GPL-3.0-or-later

import logging
from itertools import chain

import pytest
import torch
from safetensors.torch import save_file

from purecc_pack.purecc.text import texts


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
