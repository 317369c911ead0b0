"""References as a camera takes them: the mask follows the picture, and each camera does what it says."""

from random import Random

import cameras
import concepts
import numpy as np
import pytest
from PIL import Image

SETS = [concepts.CONCEPTS[name] for name in (*concepts.PHOTOGRAPHED, *concepts.NEAR)]


def square(left, right):
    """A white square on black, and where it is."""
    thing = np.zeros((96, 96), bool)
    thing[25:70, left:right] = True
    return Image.fromarray(np.where(thing[..., None], [255] * 3, 0).astype(np.uint8)), thing


@pytest.mark.parametrize("concept", SETS, ids=lambda c: c.name)
def test_the_mask_is_where_the_thing_is(concept):
    """The individual's own colours, on the references as taken, are inside the mask much more often than outside."""
    plain = [np.asarray(p, float) for p in concept.pictures]
    for picture, mask in zip(plain, concept.masks, strict=True):
        assert picture.shape == (96, 96, 3) and mask.shape == (96, 96)
        assert 0.05 < (mask > 0.5).mean() < 0.75
        spread = picture.max(-1) - picture.min(-1)
        edges = np.abs(np.diff(picture.mean(-1), axis=1))[:, :95]
        inside = mask[:, 1:] > 0.5
        assert edges[inside].mean() > edges[~inside].mean() or spread[mask > 0.5].mean() > spread[mask <= 0.5].mean()
    assert all(np.array_equal(a, b) for a, b in zip(concept.pictures, concept.pictures, strict=True)), "no chance"


@pytest.mark.parametrize(("left", "right"), [(5, 57), (22, 74), (39, 91)])
def test_the_frame_cuts_off_a_tenth_to_a_fifth(left, right):
    for seed in range(20):
        picture, thing = square(left, right)
        shown = np.asarray(cameras.frame(picture, thing, Random(seed)))[..., 0] > 127
        columns = np.nonzero(shown.any(0))[0]
        assert (columns.min() == 0) != (columns.max() == 95), "at one side"
        scale = np.nonzero(shown.any(1))[0].size / 45
        assert 0.77 < columns.size / scale / (right - left) < 0.93


def test_perspective_keeps_all_of_the_thing_and_makes_its_sides_unequal():
    sides = []
    for seed in range(20):
        shown = np.asarray(cameras.perspective(*square(22, 74), Random(seed)))[..., 0] > 127
        columns = np.nonzero(shown.any(0))[0]
        sides.append(np.ptp([shown[:, columns[3]].sum(), shown[:, columns[-4]].sum()]))
        assert shown.mean() > 45 * 52 / 96**2, "nearer by"
    assert max(sides) >= 3


def test_light_comes_from_one_side():
    grey = Image.new("RGB", (96, 96), (128, 128, 128))
    ends = []
    for seed in range(10):
        lit = np.asarray(cameras.light(grey, np.ones((96, 96), bool), Random(seed)), float)
        ends.append(np.ptp([lit[:8, :8].mean(), lit[:8, -8:].mean(), lit[-8:, :8].mean(), lit[-8:, -8:].mean()]))
    assert min(ends) > 5 and max(ends) > 40


def test_neighbouring_seeds_do_not_take_alike():
    cuts = set()
    for seed in range(1900, 1905):
        picture, thing = square(22, 74)
        shown = np.asarray(cameras.taken(picture, thing, (cameras.frame,), seed))[..., 0] > 127
        cuts.add(bool(shown[:, 0].any()))
    assert cuts == {True, False}
