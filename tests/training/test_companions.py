"""What stands beside the concept in all references: a word's score, when it counts, what is left out."""

import pytest
import torch
from squares import square


class Base:
    """Predicts the true velocity of x0 = 0 but for an error by prompt, [16, 16]."""

    def __init__(self, wrong):
        from types import SimpleNamespace

        self.field = SimpleNamespace(device=torch.device("cpu"))
        self.wrong, self.asked = wrong, []

    def run(self, branch, x_t, t, texts, limit=None):
        self.asked.append((branch, texts[0], len(texts), limit, x_t.clone()))
        return x_t / t.view(-1, 1, 1, 1) + self.wrong[texts[0]]


CUP, STAR = torch.zeros(16, 16), torch.zeros(16, 16)
CUP[4:12, 1:7], STAR[4:12, 9:15] = 1.0, 1.0
LATENTS = torch.zeros(2, 4, 16, 16)


def test_errors_are_those_of_the_masks_noised_copies_blurred():
    from purecc_pack.purecc.method.maps import blur
    from purecc_pack.purecc.training.companions import errors
    from purecc_pack.purecc.training.concept_masks import WIDE_BLUR, noised

    base = Base({"a cup": STAR, "": CUP + STAR})
    found = errors(base, LATENTS, ["a cup", ""], (2, 6), seed=3, limit=5)
    expected = torch.stack([STAR.square(), (CUP + STAR).square()]).expand(2, 2, 16, 16)
    torch.testing.assert_close(found, blur(expected.reshape(4, 1, 16, 16), WIDE_BLUR).view(2, 2, 16, 16))
    assert [(b, text, n, limit) for b, text, n, limit, _ in base.asked] == [(None, t, 2, 5) for t in ("a cup", "")] * 2
    for asked, (x_t, _, _) in zip((base.asked[0], base.asked[2]), noised(LATENTS, 3, base.field.device), strict=True):
        assert torch.equal(asked[-1], x_t[[2, 6]])


def scored(**of_words):
    """The score of words by their errors; the class knows the cup, the empty prompt neither thing."""
    from purecc_pack.purecc.training.companions import scores

    return scores(STAR, 0.8 * (CUP + STAR), torch.stack(list(of_words.values()))).tolist()


def test_a_word_scores_by_what_it_alone_explains():
    star, unknown, mug, wrong = scored(star=CUP, unknown=0.8 * (CUP + STAR), mug=0.3 * STAR, wrong=CUP + STAR)
    assert star == pytest.approx(1.0), "as much as the class explains of the cup"
    assert unknown == wrong == 0.0
    assert mug == 0.0, "the class in other words, though it explains the star as well"


@pytest.mark.parametrize(
    ("by_word", "shortlisted", "word"),
    [
        ({"star": [2.0, 0.1, 1.9], "cat": [0.0, 0.2, 0.3]}, ["star"], "star"),
        ({"star": [0.5, 0.3, 0.7], "cat": [0.26, 0.26, 0.0]}, ["star", "cat"], ""),
        ({"star": [0.9, 0.9], "cat": [0.7, 0.7]}, ["star", "cat"], ""),
        ({"star": [1.2, 1.2], "cat": [0.7, 0.7]}, ["star", "cat"], "star"),
        ({"star": [5.0, 0.0, 0.0], "cat": [0.0] * 3}, [], ""),
        ({str(k): [k / 10] for k in range(9)}, ["8", "7", "6", "5"], ""),
        ({"star": [1.0]}, ["star"], "star"),
        ({}, [], ""),
    ],
)
def test_a_companion_is_in_most_references_and_clear(by_word, shortlisted, word):
    from purecc_pack.purecc.training.companions import companion, shortlist

    assert shortlist(by_word) == shortlisted
    assert companion({key: by_word[key] for key in shortlisted}) == word


def test_a_mask_of_both_becomes_that_of_the_concept():
    from purecc_pack.purecc.training.companions import errors, without

    base = Base({"a cup": STAR, "": CUP + STAR, "a star": CUP})
    found = errors(base, LATENTS, ["a cup", "", "a star"], range(8))
    mask = (CUP + STAR).expand(2, 1, 16, 16)
    parted = without(mask, found[:, 0], found[:, 2])
    assert parted.shape == mask.shape
    assert float(parted[..., CUP.bool()].min()) > 0.9 and float(parted[..., STAR.bool()].max()) < 0.1
    assert torch.equal(without(square(), *torch.zeros(2, 1, 16, 16)), square()), "no evidence, no change"


def test_words_of_the_class_are_not_tried():
    from purecc_pack.purecc.training.companions import WORDS, companion_prompts

    assert companion_prompts("Dog").keys() == companion_prompts("toy dog").keys() == {*WORDS} - {"dog"}
    assert companion_prompts("robot")["hand"] == "a hand"
