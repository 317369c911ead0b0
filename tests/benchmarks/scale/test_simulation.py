"""The simulation of many ranks, at a small size, and the tables."""

import pytest
from cards import DAY, cards
from simulate import STATE, STEPS, ends_of, simulate


def test_ranks_that_die_and_stand_still_lose_and_double_nothing(tmp_path):
    world = simulate(40, 160, tmp_path, seed=1)
    assert set(ends_of(tmp_path).values()) == {1} and len(ends_of(tmp_path)) == 160
    counts = world.counts
    assert counts["ended"] == 160 and counts["deaths at work"] >= 3 and counts["taken over"] >= 3
    assert counts["steps lost"] < STATE * counts["deaths at work"]
    assert 160 * STEPS <= counts["steps"] <= 160 * STEPS + STATE * (counts["deaths"] + counts["standstills"])
    assert counts["start"] == 40 + counts["deaths"]


def test_what_is_done_twice_would_be_seen(tmp_path):
    for number in (2, 4):
        (tmp_path / f"cat.{number:04}").write_text('{"event": "end", "state": "done", "key": "cat"}')
    assert ends_of(tmp_path) == {"cat": 2}


def test_cards():
    assert cards(10, DAY / 10, 1.0) == pytest.approx(1.0)
    assert cards(100, DAY / 10, 0.5) == pytest.approx(20.0)
