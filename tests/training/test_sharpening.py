"""Masks that end where the colours of the concept end, and references of which the wrong thing was left out."""

import pytest
import torch

from purecc_pack.purecc.method.maps import blur
from purecc_pack.purecc.training.agreement import wrong_way_round
from purecc_pack.purecc.training.colours import BINS, SIDE, Coloured, alike
from purecc_pack.purecc.training.sharpening import sharpened

RED, BLUE, GREEN, GREY = (0.9, 0.1, 0.1), (0.1, 0.2, 0.9), (0.2, 0.7, 0.2), (0.5, 0.5, 0.5)
SIZE, LATENT = 96, 12


def picture(ground, *discs, noise=0.03):
    """A picture with discs (column, colour) on a ground, and where the first is, [12, 12] in parts of each place."""
    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    out, first = torch.tensor(ground).expand(SIZE, SIZE, 3).clone(), None
    for column, colour in discs:
        inside = (rows - 48) ** 2 + (columns - column) ** 2 < 18**2
        out[inside] = torch.tensor(colour)
        first = inside.float() if first is None else first
    generator = torch.Generator().manual_seed(0)
    noisy = (out + noise * torch.randn(out.shape, generator=generator)).clamp(0, 1)
    return noisy, torch.nn.functional.adaptive_avg_pool2d(first[None], LATENT)[0]


def widened(mask, by=0.1):
    """What the base finds: the same place, larger and blurred."""
    soft = blur(mask[None, None], by)[0, 0]
    return (soft / soft.max() * 1.6).clamp(0, 1)


def iou(mask, true):
    a, b = mask > 0.5, true > 0.5
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize("count", [1, 3])
def test_a_mask_ends_where_the_thing_ends(count):
    made = [picture(g, (c, RED)) for g, c in ((GREEN, 30), (BLUE, 48), (GREY, 66))][:count]
    pictures, true = zip(*made, strict=True)
    before = [widened(t) for t in true]
    for mask, old, t in zip(sharpened(pictures, before), before, true, strict=True):
        assert iou(old, t) < 0.75 < 0.9 < iou(mask, t)
        assert mask.shape == (LATENT, LATENT) and mask.min() >= 0 and mask.max() <= 1


def test_of_the_same_colours_elsewhere_nothing_is_taken_in():
    image, true = picture(GREEN, (20, RED), (77, RED))
    (mask,) = sharpened([image], [widened(true)])
    assert iou(mask, true) > 0.85 and mask[:, 8:].max() < 0.2


def test_where_colours_do_not_tell_the_mask_stays():
    image, true = picture(GREY, (48, GREY))
    before = widened(true)
    (mask,) = sharpened([image], [before])
    assert (mask - before).abs().mean() < 0.12 and iou(mask, before) > 0.8


def test_of_no_pictures_there_are_no_masks():
    assert sharpened([], []) == []


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_nothing_and_everything_stay(value):
    image, _ = picture(GREEN, (48, RED))
    (mask,) = sharpened([image], [torch.full((LATENT, LATENT), value)])
    assert mask.isfinite().all() and (mask - value).abs().max() < 0.1


def test_it_is_kept_if_nearly_nothing_were_left():
    """A mask of which most lies beside the thing."""
    image, _ = picture(GREEN, (48, RED))
    before = torch.zeros(LATENT, LATENT)
    before[:2, 2:10] = 0.9
    before[5, 6] = 1.0
    (mask,) = sharpened([image], [before])
    assert mask.sum() >= before.sum() / 3


def test_the_order_of_the_references_changes_nothing():
    made = [picture(g, (c, RED)) for g, c in ((GREEN, 30), (BLUE, 48), (GREY, 66))]
    pictures, before = [p for p, _ in made], [widened(t) for _, t in made]
    there, back = sharpened(pictures, before), sharpened(pictures[::-1], before[::-1])
    assert all(torch.equal(a, b) for a, b in zip(there, back[::-1], strict=True))


def parted(which):
    """Pictures of a red and a blue disc, masks of both, and of one of them; the other one in the picture `which`."""
    pictures, both, after = [], [], []
    for number, (ground, columns) in enumerate([(GREEN, (26, 74)), (GREY, (74, 26)), (GREEN, (30, 70))]):
        colours = (RED, BLUE) if number != which else (BLUE, RED)
        image, first = picture(ground, *zip(columns, colours, strict=True))
        _, second = picture(ground, (columns[1], RED))
        pictures.append(image)
        both.append(torch.maximum(widened(first), widened(second)))
        after.append(widened(first))
    return pictures, both, after


@pytest.mark.parametrize("which", [None, 0, 1, 2])
def test_a_reference_that_keeps_the_others_companion_is_found(which):
    assert wrong_way_round(*parted(which)) == [k == which for k in range(3)]


def test_of_two_references_nobody_knows():
    pictures, both, after = parted(0)
    assert wrong_way_round(pictures[:2], both[:2], after[:2]) == [False, False]


def test_colours_are_counted_in_a_small_copy():
    image = torch.zeros(3 * SIDE, 2 * SIDE, 3)
    image[:, :SIDE] = 1.0
    colours = Coloured.of(image)
    assert colours.shape == (SIDE, round(2 / 3 * SIDE))
    whole = colours.histogram(torch.ones(colours.shape))
    assert whole.shape == (BINS**3,) and float(whole.sum()) == pytest.approx(1)
    assert float(whole[0]) == pytest.approx(float(whole[-1]), rel=0.05) and float(whole[0] + whole[-1]) > 0.3
    assert not colours.histogram(torch.zeros(colours.shape)).any()


def test_likeness_is_what_two_have_in_common():
    a, b = torch.tensor([2.0, 2.0, 0.0]), torch.tensor([0.0, 1.0, 1.0])
    assert alike(a, a) == 1 and alike(a, b) == 0.5 and alike(a, torch.zeros(3)) == 0
