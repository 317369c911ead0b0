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
        self.asked.append((branch, texts, limit, x_t.clone()))
        return x_t / t.view(-1, 1, 1, 1) + torch.stack([self.wrong[text] for text in texts])[:, None]


CUP, STAR = torch.zeros(16, 16), torch.zeros(16, 16)
CUP[4:12, 1:7], STAR[4:12, 9:15] = 1.0, 1.0
LATENTS = torch.zeros(2, 4, 16, 16)


def test_errors_are_those_of_the_masks_noised_copies_blurred():
    from purecc_pack.purecc.method.maps import blur
    from purecc_pack.purecc.training.companions import COPIES, WIDE_BLUR, errors
    from purecc_pack.purecc.training.concept_masks import SAMPLES, noised

    base = Base({"a cup": STAR, "": CUP + STAR})
    found = errors(base, LATENTS, ["a cup", ""], seed=3, limit=5)
    expected = torch.stack([STAR.square(), (CUP + STAR).square()]).expand(2, 2, 16, 16)
    torch.testing.assert_close(found, blur(expected.reshape(4, 1, 16, 16), WIDE_BLUR).view(2, 2, 16, 16))
    texts = ["a cup"] * (SAMPLES // 2) + [""] * (SAMPLES // 2)
    assert [asked[:3] for asked in base.asked] == [(None, texts, 5)] * 2, "by reference"
    for asked, (x_t, _, _) in zip(base.asked, noised(LATENTS, 3, base.field.device), strict=True):
        assert torch.equal(asked[-1], x_t[COPIES].repeat(2, 1, 1, 1))


def test_a_first_look_is_at_one_of_the_copies():
    from purecc_pack.purecc.training.companions import COPIES, errors, first_look
    from purecc_pack.purecc.training.concept_masks import SAMPLES, noised

    base = Base({"a cup": STAR, "": CUP + STAR})
    errors(base, LATENTS[:1], ["a cup", ""], copies=first_look(SAMPLES))
    ((x_t, _, _),) = noised(LATENTS[:1], 0, base.field.device)
    assert torch.equal(base.asked[0][-1], x_t[first_look(SAMPLES)].repeat(2, 1, 1, 1))
    assert {*range(SAMPLES)[first_look(SAMPLES)]} < {*range(SAMPLES)[COPIES]}
    assert all(len(range(n)[first_look(n)]) == 1 for n in range(2, 9))


def test_words_that_explain_most_are_likely_if_that_is_enough():
    from purecc_pack.purecc.training.companions import LIKELY, PROMISING, likely

    words = list("abcdefg")
    explained = torch.tensor([[0, 9, 5, 4, 3, 2, 1], [0, 0, 5, 4, 3, 2, 1], [2, 0, 0, 4, 3, 2, 1]]).float()

    def looks(of_class):
        """The class explains so much of each reference, each word what it explains beyond the class."""
        of_empty = torch.full((3, 1, 1, 1), 20.0)
        own = of_empty - of_class
        return list(torch.cat([own, of_empty, own - explained[:, :, None, None]], dim=1))

    most = 4.0  # d explains it of every reference
    assert LIKELY == 4 and likely(words, looks(1.0)) == ["b", "c", "d", "e"]
    assert likely(words, looks(most / PROMISING - 0.1)) and not likely(words, looks(most / PROMISING + 0.1))
    assert likely(words, looks(20.0), least=0.0) == ["b", "c", "d", "e"]


def test_a_first_look_is_at_a_few_references_spread_over_all():
    from purecc_pack.purecc.training.companions import looked_at

    assert [looked_at(n) for n in (1, 2, 3, 4, 5, 20)] == [[0], [0, 1], [0, 1, 2], [0, 2, 3], [0, 2, 4], [0, 10, 19]]


def test_common_words_are_prompts_of_their_own():
    from purecc_pack.purecc.training.common_things import WORDS
    from purecc_pack.purecc.training.companions import companion_prompts

    prompts = companion_prompts("robot")
    assert len(WORDS) == len({word.lower() for word in WORDS}) == len({*prompts.values()})
    assert (prompts["umbrella"], prompts["pair of scissors"]) == ("an umbrella", "a pair of scissors")


def test_a_word_counts_by_what_it_alone_explains():
    """The class knows the cup, the empty prompt neither thing."""
    from purecc_pack.purecc.training.companions import beside

    words = {"star": CUP, "unknown": 0.8 * (CUP + STAR), "mug": 0.3 * STAR, "wrong": CUP + STAR}
    (star, unknown, mug, wrong), own = beside(STAR, 0.8 * (CUP + STAR), torch.stack(list(words.values())))
    assert star == own == pytest.approx(0.8), "as much as the class explains of the cup"
    assert unknown == wrong == 0.0
    assert mug == 0.0, "the class in other words, though it explains the star as well"
    assert beside(CUP, CUP, torch.stack([CUP, CUP])) == ([0.0, 0.0], 0.0)


@pytest.mark.parametrize(
    ("by_word", "of_class", "word"),
    [
        ({"star": [2.0, 0.1, 1.9], "cat": [0.0, 0.2, 0.3]}, [1.0, 1.0, 1.0], "star"),
        ({"star": [2.0, 0.1, 1.9], "cat": [0.0, 0.2, 0.3]}, [12.0, 1.0, 1.0], ""),
        ({"star": [0.4, 0.4], "cat": [0.1, 0.1]}, [1.0, 1.0], ""),
        ({"star": [0.9, 0.9], "cat": [1.2, 1.2]}, [1.0, 1.0], "cat"),
        ({"star": [5.0, 0.0, 0.0], "cat": [0.0] * 3}, [1.0, 1.0, 1.0], ""),
        ({"star": [1.0], "cat": [0.0]}, [1.0], "star"),
        ({"star": [1.0], "cat": [0.0]}, [0.0], ""),
    ],
)
def test_a_companion_is_in_most_references(by_word, of_class, word):
    from purecc_pack.purecc.training.companions import companion

    assert companion(by_word, of_class) == word


def test_a_mask_of_both_becomes_that_of_the_concept():
    from purecc_pack.purecc.training.companions import APART, errors, parted

    base = Base({"a cup": STAR, "": CUP + STAR, "a star": CUP})
    found = errors(base, LATENTS, ["a cup", "", "a star"])
    mask = (CUP + STAR).expand(2, 1, 16, 16)
    alone, distances = parted(mask, found[:, 0], found[:, 2])
    assert alone.shape == mask.shape and distances.shape == (2,)
    assert float(alone[..., CUP.bool()].min()) > 0.9 and float(alone[..., STAR.bool()].max()) < 0.1
    assert float(distances.min()) > APART
    for evidence in (torch.zeros(1, 16, 16), torch.ones(1, 16, 16), -torch.ones(1, 16, 16)):
        same, distance = parted(square(), torch.zeros(1, 16, 16), evidence)
        assert torch.equal(same, square()) and float(distance) == 0, "no evidence for one of them, no change"


def test_what_is_new_in_the_concept_stays_with_it():
    """Its outer edge, though its class explains that worse than the companion's word does."""
    from purecc_pack.purecc.training.companions import parted

    mask = (CUP + STAR).expand(1, 1, 16, 16)
    evidence = CUP - STAR
    evidence[4:12, 1] = -0.5
    alone, _ = parted(mask, torch.zeros(1, 16, 16), evidence[None])
    assert float(alone[..., 4:12, 1].min()) > 0.99


def test_halves_of_one_thing_are_not_two_things():
    """Whatever the size of the thing and the shape of the image."""
    from purecc_pack.purecc.training.companions import APART, parted

    for width, height, reach in ((16, 16, 4), (16, 16, 8), (32, 16, 8)):
        mask = torch.zeros(1, 1, height, width)
        mask[..., :reach, 1 : 1 + reach] = 1
        evidence = mask[0].clone()
        evidence[..., 1 + reach // 2 :] *= -1
        _, distance = parted(mask, torch.zeros_like(evidence), evidence)
        assert float(distance) == pytest.approx(0.5) and APART > 0.5


def test_words_of_the_class_are_not_tried():
    from purecc_pack.purecc.training.common_things import WORDS
    from purecc_pack.purecc.training.companions import companion_prompts

    assert companion_prompts("Dog").keys() == companion_prompts("toy dog").keys() == {*WORDS} - {"dog"}
    assert companion_prompts("robot")["ball"] == "a ball"


def test_a_word_for_the_concept_or_a_part_of_it_is_no_companion():
    from purecc_pack.purecc.training.companions import APART, plausible

    whole, half, little = square(), 0.5 * square(), 0.1 * square()
    far, near = torch.tensor([APART + 0.01]), torch.tensor([APART - 0.01])
    assert plausible([whole] * 3, [half, half, little], [far, far, near])
    assert not plausible([whole] * 3, [half, little, little], [far] * 3)
    assert not plausible([whole] * 3, [half] * 3, [far, near, near])
    assert not plausible([0 * whole], [0 * whole], [far])


def test_the_words_that_are_tried_are_the_users_or_common_ones():
    from purecc_pack.purecc.training.common_things import WORDS
    from purecc_pack.purecc.training.companions import KEEP, LEAVE_OUT, described, words_tried

    tried = [words_tried(LEAVE_OUT), words_tried(LEAVE_OUT, ["umbrella", "kite", "umbrella"]), words_tried(KEEP, ["a"])]
    assert tried == [WORDS, ("umbrella", "kite"), ()]
    assert [described(words) for words in tried] == ["leave out", "umbrella, kite", "keep"]


def test_a_word_of_the_class_is_not_tried():
    from purecc_pack.purecc.training.companions import companion_prompts

    assert list(companion_prompts("garden cat", ["Cat", "ball", "Garden cat"])) == ["ball"]
    assert companion_prompts("cat", ()) == {}
    with pytest.raises(ValueError, match="names the concept itself"):
        companion_prompts("garden cat", ["garden cat", "CAT"])


def test_a_thing_that_the_user_names_is_believed_to_be_there():
    from purecc_pack.purecc.training.companions import companion

    by_word = {"kite": [0.1, 0.2, 0.0], "ball": [0.0, 0.0, 0.3]}
    assert companion(by_word, [1.0, 1.0, 1.0]) == ""
    assert companion(by_word, [1.0, 1.0, 1.0], 0.0) == "kite"
    assert companion({"ball": by_word["ball"]}, [1.0, 1.0, 1.0], 0.0) == "ball"
    assert companion(by_word, [0.0, 0.0, 0.0], 0.0) == "", "the class explains nothing"
