"""Prompts with a concept and without it."""

import pytest

from purecc_pack.purecc.text.concept import Concept
from purecc_pack.purecc.text.concept_prompt import concept_prompts

ROBOT, STYLE = Concept("robot"), Concept("style", "style")


@pytest.mark.parametrize("text", ["a [v] on grass", "a [v] robot on grass", "a [V] on grass"])
def test_the_class_word_may_be_left_out(text):
    assert concept_prompts(text, "mine", ROBOT) == ("a embedding:mine robot on grass", "a robot on grass")


def test_the_article_fits_the_class_word():
    assert concept_prompts("a [v] on grass", "mine", Concept("owl"))[1] == "an owl on grass"


def test_a_style():
    with_it = "a house by a lake, in embedding:mine style"
    assert concept_prompts("a house by a lake, in [v]", "mine", STYLE) == (with_it, "a house by a lake")
    assert concept_prompts("a house by a lake, in [v] style", "mine", STYLE) == (with_it, "a house by a lake")


def test_a_trigger_word_is_the_name_alone():
    assert concept_prompts("a [v] on grass", "mine", ROBOT, embedding=False)[0] == "a mine robot on grass"


def test_a_text_without_the_concept_is_the_same_twice():
    assert concept_prompts("a red car", "mine", ROBOT) == ("a red car", "a red car")


def test_an_adapter_of_another_trainer_has_no_class_word():
    assert concept_prompts("a [v] dog on grass", "mine", None) == ("a embedding:mine dog on grass", "a dog on grass")


@pytest.mark.parametrize("text", ["a [v] and a [v] robot", "a robot [v]ish", "{a|b} [v]"])
def test_what_no_caption_can_be_is_refused_with_the_users_own_text(text):
    with pytest.raises(ValueError) as refused:
        concept_prompts(text, "mine", ROBOT)
    assert "robot robot" not in str(refused.value)
