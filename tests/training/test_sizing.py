"""References made smaller within their frame: how large the class usually is, which are smaller, picture and mask."""

import math

import pytest
import torch

PICTURE = torch.arange(1.0, 17.0).view(1, 4, 4, 1).div(16).repeat_interleave(8, 1).repeat_interleave(8, 2)


def masks(*shares):
    """Masks of 100 places of which so many are the concept."""
    return [(torch.arange(100) < share).float().view(1, 10, 10) for share in shares]


def test_small_masks_are_not_compared_with_the_class():
    from purecc_pack.purecc.training.sizing import may_be_large

    assert may_be_large(masks(36, 60, 10)) and may_be_large(masks(36))
    assert not may_be_large(masks(29, 60, 10)) and not may_be_large([])


def test_what_is_larger_than_usual_gets_as_large():
    from purecc_pack.purecc.training.sizing import SMALLEST, factors

    assert factors(masks(49, 64, 25), 0.6) == pytest.approx([0.6 / 0.7, 0.6 / 0.8, 1.0])
    assert factors(masks(49, 64, 25), 0.63) == [1.0, 1.0, 1.0], "in the median less than 1.12 of the usual size"
    assert factors(masks(81), 0.1) == [SMALLEST]


def test_the_usual_size_is_that_of_where_the_prompt_changes_the_velocity():
    from types import SimpleNamespace

    from purecc_pack.purecc.training.sizing import TIGHT, class_size

    where = torch.zeros(1, 1, 32, 32)
    where[..., 8:24, 8:24] = 1.0

    class Base:
        field = SimpleNamespace(device=torch.device("cpu"))

        def run(self, branch, x_t, t, texts, limit=None):
            assert branch is None and limit == 3
            return x_t + where * (texts[0] == "a cup")

    assert class_size(Base(), torch.zeros(1, 4, 32, 32), "a cup", 3) == pytest.approx(0.5 * TIGHT, abs=0.05)


def test_a_picture_is_made_smaller_and_its_edges_repeated():
    from purecc_pack.purecc.training.sizing import shrunk

    small = shrunk(PICTURE, 0.5)
    assert small.shape == PICTURE.shape
    torch.testing.assert_close(small[0, 9, 9], PICTURE[0, 2, 2], atol=0.03, rtol=0)
    assert torch.equal(small[0, :8, 8:24], small[0, 8:9, 8:24].expand(8, 16, 1))
    assert torch.equal(small[0, :, 24:], small[0, :, 23:24].expand(32, 8, 1))
    alone = shrunk(PICTURE, 0.5, repeat=False)
    assert alone[0, 8:24, 8:24].all() and float((alone == 0).float().mean()) == 0.75


def reference(mask, shrink):
    from purecc_pack.purecc.text.texts import parse_caption
    from purecc_pack.purecc.training.dataset import ConceptItem

    text = parse_caption("a [v] cup", "cup")
    return ConceptItem(torch.zeros(len(mask), 4, 8, 8), text, PICTURE[0], mask, shrink=shrink)


def test_a_reference_is_made_smaller_with_the_masks_of_its_variants():
    from purecc_pack.purecc.training.sizing import made_smaller

    mask = torch.zeros(2, 1, 8, 8)
    mask[0, :, 2:8, 0:6] = 1.0
    mask[1, :, 2:8, 2:8] = 1.0
    asked = []

    def shrink(factor):
        asked.append(factor)
        return torch.ones(2, 4, 8, 8), (PICTURE[0].flip(0), PICTURE[0])

    small = made_smaller(reference(mask, shrink), 0.75)
    assert asked == [0.75]
    assert small.latents.all() and small.shrink is None
    assert torch.equal(small.images[0], PICTURE[0].flip(0)) and torch.equal(small.images[1], PICTURE[0])
    assert small.mask.shape == mask.shape
    assert float(small.mask.mean()) == pytest.approx(0.75**2 * float(mask.mean()), rel=0.05)
    assert small.mask[0, 0, 6, 1] > 0.9 and small.mask[1, 0, 6, 6] > 0.9
    assert not small.mask[0, 0, :, 6:].any() and not small.mask[:, 0, 7].any()


def test_what_has_no_picture_or_no_mask_or_fits_stays():
    from dataclasses import replace

    from purecc_pack.purecc.training.sizing import made_smaller

    item = reference(torch.ones(1, 1, 8, 8), lambda factor: pytest.fail("nothing is to be made smaller"))
    latents_only, unmasked = replace(item, shrink=None), replace(item, mask=None)
    assert made_smaller(item, 1.0) is item
    assert made_smaller(latents_only, 0.5) is latents_only and made_smaller(unmasked, 0.5) is unmasked


def test_a_size_is_the_side_of_a_square():
    from purecc_pack.purecc.training.sizing import size_of

    assert size_of(torch.tensor([[1.0, 0.0], [0.0, 0.0]])) == 0.5
    assert math.isclose(size_of(torch.full((1, 3, 3), 0.5)), math.sqrt(0.5), rel_tol=1e-6)
