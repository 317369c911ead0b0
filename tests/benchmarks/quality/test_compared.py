"""Comparisons beside the claims: what they compare exists, and the page's means and ranges are right."""

import compared_page
import pytest
from concepts import CONCEPTS
from methods import METHODS
from phases import COMPARED
from run import MORE, tasks


@pytest.mark.parametrize("phase", COMPARED)
def test_a_phase_runs_its_methods_on_its_sets(phase):
    compared = COMPARED[phase]
    assert set(compared.methods) <= set(METHODS) and set(compared.sets) <= set(CONCEPTS)
    (first, *_), every = tasks(phase, [], [], [0]), tasks(phase, [], [], [0, 1])
    assert [r[0] for r in first.runs] == list(compared.methods) and len(every) == 2 * len(compared.sets)
    assert first.points == ((200,) if phase in MORE else (25, 50, 100, 200))


def test_the_page_shows_means_and_ranges():
    runs = {
        ("cup", 0): dict.fromkeys(compared_page.MEASURES, 0.25),
        ("cup", 3): dict.fromkeys(compared_page.MEASURES, 0.75),
    }
    found = {"anchored": runs, "dop": {}}
    titles = {"anchored": "ours", "dop": "DOP"}
    (line,) = compared_page.lines(found, "cup", titles)
    assert line[:4] == ["cup", "ours", "0, 3", "0.50 [0.25, 0.75]"] and line[-1] == "0.5000 [0.2500, 0.7500]"
    assert compared_page.lines(found, "car", titles) == []
    (mean,) = compared_page.means({"anchored": runs}, "all", ["cup"], titles)
    assert mean[:4] == ["all", "ours", "2", "0.50"] and mean[-1] == "0.5000"


def test_only_a_companion_is_named_by_the_user():
    import bench

    told = METHODS["two-stages-told"]
    assert bench._named(CONCEPTS["boat-3"], told) == ("umbrella",)
    assert bench._named(CONCEPTS["robot"], told) == bench._named(CONCEPTS["boat-3"], METHODS["two-stages-late"]) == ()
