"""References whose captions say the place, and references that are moved."""

from dataclasses import replace

import pytest
import torch

from purecc_pack.purecc.text.texts import parse_caption
from purecc_pack.purecc.training.dataset import ConceptItem
from purecc_pack.purecc.training.placing import (
    AUTO,
    ELSEWHERE,
    MOVE,
    OFF,
    SAY,
    VERSIONS,
    place_references,
    share_a_place,
)

H, W, PIXELS = 8, 24, 4


def item(*centres, caption="a [v] robot on sand", width=4, weight=1):
    """A reference with a variant for each centre: latents count the columns, 1 where the concept is."""
    latents = torch.arange(1.0, W + 1).expand(len(centres), 2, H, W).clone()
    mask = torch.zeros(len(centres), 1, H, W)
    for k, centre in enumerate(centres):
        mask[k, :, 2:6, centre - width // 2 : centre + width // 2] = 1
    image = torch.arange(0.0, W * PIXELS).view(1, -1, 1).expand(H * PIXELS, -1, 3)
    return ConceptItem(latents, parse_caption(caption, "robot"), image, mask, weight)


def placed(items, choice, patch=2):
    return place_references(items, choice, patch, seed=3)


def test_off_leaves_them_as_they_are():
    items = [item(6), item(12)]
    assert placed(items, OFF).items == tuple(items)


def test_the_caption_says_the_place_of_the_mask():
    items = [item(6), item(12), replace(item(18), mask=None), replace(item(12), mask=torch.ones(1, 1, H, W))]
    made = placed(items, SAY)
    told = ["a [v] robot on the left on sand", "a [v] robot in the middle on sand", *["a [v] robot on sand"] * 2]
    assert [i.texts.complete for i in made.items] == told and made.said == 2 and not made.moved
    assert all(a.latents is b.latents for a, b in zip(made.items, items, strict=True))


def test_variants_at_other_places_become_references_of_their_own():
    items = [item(6, 18, weight=2), replace(item(6, 18), mask=None)]
    made = placed(items, SAY)
    assert [i.texts.complete.split(" on sand")[0] for i in made.items[:2]] == [
        "a [v] robot on the left",
        "a [v] robot on the right",
    ]
    assert [i.weight for i in made.items] == [2, 2, 2], "each of two variants as often as before"


@pytest.mark.parametrize(("centres", "shared"), [((11, 12, 13), True), ((6, 12, 18), False), ((8, 12), True)])
def test_auto_moves_references_that_share_a_place(centres, shared):
    items = [item(c) for c in centres]
    assert share_a_place(items) is shared
    assert len(placed(items, AUTO).items) == len(items) * (VERSIONS if shared else 1)
    assert len(placed(items, MOVE).items) == len(items) * VERSIONS
    without = [*items, replace(items[0], mask=None)]
    assert not share_a_place(without) and len(placed(without, AUTO).items) == len(without)


@pytest.mark.parametrize(
    ("centres", "unseen"),
    [((6, 18), {"middle"}), ((6, 7, 12), {"right"}), ((6, 12, 18), set()), ((5, 5, 9), {"middle", "right"})],
)
def test_auto_also_shows_places_that_no_reference_shows(centres, unseen):
    items = [item(c, weight=2) for c in centres]
    made = placed(items, AUTO)
    assert len(made.moved) == (len(items) if unseen else 0) and made.said == len(items)
    for versions, one in zip(made.versions, items, strict=True):
        own, others = versions[0], versions[1:]
        assert own.latents is one.latents and bool(others) == bool(unseen)
        told = {other.texts.complete.split(" the ")[1].split(" on sand")[0] for other in others}
        assert told == unseen
        assert all(not torch.equal(other.latents, one.latents) for other in others)
        moved = sum(other.weight for other in others)
        assert moved <= ELSEWHERE * (moved + own.weight)
        assert moved > ELSEWHERE / 2 * (moved + own.weight) or not unseen, "but for those that whole patches miss"
    assert len({sum(v.weight for v in versions) for versions in made.versions}) == 1, "each reference as often"
    assert not placed(items, SAY).moved


def test_a_reference_that_cannot_reach_an_unseen_place_only_says_its_own():
    made = placed([item(6), item(11, width=20), item(2)], AUTO)  # a wide thing, and one that the frame cuts off
    assert len(made.versions[0]) > 1 and len(made.moved) == 1
    told = [[m.texts.complete for m in versions] for versions in made.versions[1:]]
    assert told == [["a [v] robot in the middle on sand"], ["a [v] robot on the left on sand"]]
    assert len({sum(v.weight for v in versions) for versions in made.versions}) == 1, "each reference as often"


@pytest.mark.parametrize("patch", [1, 2, 4])
def test_moved_references_are_whole_shifted_by_patches_and_say_where(patch):
    (versions,) = placed([item(12)], MOVE, patch).versions
    assert len(versions) == VERSIONS and len({float(v.mask.argmax()) for v in versions}) >= 3
    words = set()
    for version in versions:
        columns = version.mask[0, 0].any(0).nonzero()[:, 0]
        by = int(columns[0]) - 10
        assert len(columns) == 4 and by % patch == 0, "all of the thing, by whole patches"
        inside = version.latents[0, 0, 0, columns]
        assert torch.equal(inside, torch.arange(11.0, 15.0)), "latents and mask go together"
        assert version.latents.min() >= 1 and version.latents.shape == (1, 2, H, W)
        assert int(version.image[0, int(columns[0]) * PIXELS, 0]) == 10 * PIXELS, "so does the image that is shown"
        place = (float(columns.float().mean()) + 0.5) / W
        word = "left" if place < 0.4 else "right" if place > 0.6 else "middle"
        assert f" the {word} on sand" in version.texts.complete
        words.add(word)
    assert words == {"left", "middle", "right"}


def test_every_variant_is_moved_with_its_own_image():
    pair = item(6, 18)
    made = placed([replace(pair, others=(pair.image + 1000,))], MOVE)
    assert [float(m.image.min()) >= 1000 for m in made.items] == [False] * VERSIONS + [True] * VERSIONS


def test_what_comes_in_is_no_part_of_the_concept():
    at_edge = item(12)
    at_edge.mask[..., 0] = 0.4  # a soft mask that touches the side
    for version in placed([at_edge], MOVE).items:
        assert (version.mask > 0.39).sum() <= (at_edge.mask > 0.39).sum()


def test_what_cannot_be_moved_stays_and_is_sampled_as_often():
    cut = item(2)
    silent = item(12, caption="a [v] robot to the left of a tree")
    made = placed([item(12), cut, silent, replace(item(12), mask=None)], MOVE)
    assert [len(v) for v in made.versions] == [VERSIONS, 1, 1, 1] and len(made.moved) == 1
    assert [sum(i.weight for i in v) for v in made.versions] == [VERSIONS] * 4
    assert made.versions[1][0].texts.complete == "a [v] robot on the left on sand"
    assert made.versions[2][0].texts == silent.texts


@pytest.mark.parametrize(("height", "moved"), [(1, True), (2, True), (3, False), (4, False)])
def test_a_thing_that_only_touches_the_frame_is_not_cut_off_by_it(height, moved):
    """Its mask, four rows high, ends within the image where it is lower at the side; each variant counts."""
    near = item(3, 19)
    near.mask[0, :, 2 : 2 + height, 0] = 1
    made = placed([near], MOVE)
    assert len(made.moved) == moved
    assert len(made.items) == 2 * (VERSIONS if moved else 1)


def test_the_same_seed_gives_the_same_places():
    first, again = (placed([item(12), item(11)], AUTO).items for _ in range(2))
    assert all(torch.equal(a.latents, b.latents) and a.texts == b.texts for a, b in zip(first, again, strict=True))
