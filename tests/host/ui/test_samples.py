"""Which samples of a run are kept."""

from itertools import pairwise

import pytest
from liveruns import made, sample


def test_samples_between_the_first_and_the_latest_go(comfyui):
    run = made(most_samples=2)
    assert run.head()["kept"] == []
    run.sample([sample(1), sample(2), sample(3)])
    assert [s["number"] for s in run.state()["samples"]] == run.head()["kept"] == [0, 2]
    assert run.picture(1, "base") is None and run.picture(2, "other") is None
    assert run.picture(2, "base") == b"base" and run.picture(2, "current") == b"current 3"
    run.sample([sample(4)] * 4)
    assert [s["step"] for s in run.state()["samples"]] == [1, 4, 4, 4, 4], "those of the first and the latest step stay"


@pytest.mark.parametrize("prompts", [1, 4])
def test_the_samples_of_a_long_run_are_spread_over_all_of_it(comfyui, prompts):
    sent = []
    run = made(sent.append)
    for number in range(50, 10_001, 50):
        run.sample([sample(number)] * prompts)
        assert sent[-1]["kept"][-1] == sent[-1]["samples"][-1]["number"], "the latest is told of, and there"
    shown = run.state()["samples"]
    steps = sorted({s["step"] for s in shown})
    gaps = [b - a for a, b in pairwise(steps)]
    assert 110 < len(shown) <= 120 and len(shown) == prompts * len(steps)
    assert (steps[0], steps[-1]) == (50, 10_000) and max(gaps) <= 2 * sorted(gaps)[len(gaps) // 2]
