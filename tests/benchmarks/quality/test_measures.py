"""Every measure on readings made by hand."""

from dataclasses import replace

import concepts
import measures
import prompts
import pytest
import torch

from purecc_pack.tiny_world.probe import HEADS, NOTHING, REGIONS, Reading

ROBOT = concepts.CONCEPTS["robot"]


def perfect(concept, asked):
    """A reading of pictures that show what was asked for, a white tree on sand where nothing is named."""
    default = {
        "thing": "tree", "colour": "white", "background": "sand", "style": "flat", "position": "middle",
        "look": "generic", "companion": NOTHING, "companion_colour": NOTHING,
    }  # fmt: skip
    rows = [{**default, **a.named, **(concept.wanted if "[v]" in a.text else {})} for a in asked]
    words = {head: [row[head] for row in rows] for head in HEADS}
    grid = torch.tensor([REGIONS.index(row["background"]) for row in rows]).view(-1, 1, 1).repeat(1, 12, 12)
    for k, row in enumerate(rows):
        grid[k, 3:9, 3:9] = REGIONS.index(row["thing"])
    features = torch.nn.functional.normalize(torch.randn(len(rows), 8, generator=torch.Generator().manual_seed(0)))
    return Reading(words, grid, features)


def changed(reading, head, numbers, answer):
    answers = list(reading.words[head])
    for k in numbers:
        answers[k] = answer
    return replace(reading, words={**reading.words, head: answers})


@pytest.fixture
def asked():
    return prompts.asked(ROBOT)


def figures(asked, reading, base=None, concept=ROBOT):
    latents = torch.ones(len(asked), 16, 12, 12)
    return measures.figures(concept, asked, reading, base or reading, latents, latents)


@pytest.mark.parametrize("name", ["robot", "cup", "glass", "chalk", "house"])
def test_a_model_that_does_as_asked(name):
    concept = concepts.CONCEPTS[name]
    rows = prompts.asked(concept)
    out = figures(rows, perfect(concept, rows), concept=concept)
    assert (
        out["fidelity"]
        == out["alone"]
        == out["pair"]
        == out["follow"]
        == out["follow class"]
        == out["follow concept"]
        == 1
    )
    assert out["class"] == out["near"] == out["leak"] == out["leak other"] == out["change"] == 0
    assert out["seg"] == pytest.approx(100)


def test_alone_is_in_its_place_with_nothing_beside_it(asked):
    reading, requested = perfect(ROBOT, asked), measures.picks(asked, "requested")
    half = requested[: len(requested) // 2]
    elsewhere = [k for k in half if asked[k].named["position"] != "left"]
    for head, numbers, answer in (("position", elsewhere, "left"), ("companion", half, "robot")):
        out = figures(asked, changed(reading, head, numbers, answer))
        assert out["fidelity"] == 1 and out["alone"] == 1 - len(numbers) / len(requested) < 1


def test_rates_count_pictures(asked):
    reading, requested = perfect(ROBOT, asked), measures.picks(asked, "requested")
    half = requested[: len(requested) // 2]
    assert figures(asked, changed(reading, "look", half, "swapped"))["fidelity"] == 0.5
    assert figures(asked, changed(reading, "look", half, "swapped"))["near"] == 0.5
    assert figures(asked, changed(reading, "look", half, "generic"))["near"] == 0
    assert figures(asked, changed(reading, "background", half, "red stripes"))["fidelity"] == 0.5
    unnamed = measures.picks(asked, "unnamed")[:4]
    assert figures(asked, changed(reading, "background", unnamed, "red stripes"))["leak"] == 4 / 16
    other = measures.picks(asked, "other")[:6]
    assert figures(asked, changed(reading, "background", other, "red stripes"))["leak other"] == 6 / 24
    of_class = measures.picks(asked, "class")[:3]
    assert figures(asked, changed(reading, "look", of_class, "concept"))["class"] == 3 / 24
    unrelated = measures.picks(asked, "unrelated")[:13]
    assert figures(asked, changed(reading, "colour", unrelated, "nothing of it"))["follow"] == 39 / 52


def test_two_things_may_stand_in_any_order_but_must_both_be_there(asked):
    reading = perfect(ROBOT, asked)
    (k, *_) = measures.picks(asked, "unrelated pair")
    swapped = {**reading.words}
    for a, b in (("thing", "companion"), ("colour", "companion_colour")):
        first, second = list(reading.words[a]), list(reading.words[b])
        first[k], second[k] = second[k], first[k]
        swapped |= {a: first, b: second}
    assert measures.follows(asked[k], replace(reading, words=swapped), k)
    assert not measures.follows(asked[k], changed(reading, "companion", [k], NOTHING), k)


def test_seg_cons_is_an_intersection_over_a_union(asked):
    base = perfect(ROBOT, asked)
    moved = replace(base, regions=base.regions.clone())
    moved.regions[:] = base.regions.roll(3, dims=2)
    # The background's union is 144 - 18 cells of which 90 agree: things 6 x 6, moved by 3.
    rows = measures.picks(asked, "requested")
    expected = sum(90 / 126 for _ in rows) / len(rows)
    assert figures(asked, moved, base)["seg"] == pytest.approx(100 * expected)


def test_change_and_diversity(asked):
    reading = perfect(ROBOT, asked)
    ones = torch.ones(len(asked), 16, 12, 12)
    assert measures.change(asked, 1.5 * ones, ones, "unrelated") == pytest.approx(0.25)
    same = replace(reading, features=reading.features[:1].expand(len(asked), -1))
    assert measures.diversity(asked, same) == pytest.approx(0, abs=1e-6)
    assert measures.diversity(asked, reading) > 0.5
    true = reading.features[measures.picks(asked, "requested")]
    assert measures.likeness(asked, reading, true) == pytest.approx(1)
    assert measures.likeness(asked, reading, -true) == pytest.approx(-1)
