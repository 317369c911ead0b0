"""What is kept of the steps of a run."""

import pytest


def test_a_step_has_quartiles_of_its_scales_and_time_left():
    from purecc_pack.purecc.training.history import History, Step

    step = Step(4, {"total": 1.0}, (4.0, 1.0, 3.0, 2.0, 5.0), 1e-4, 8.0)
    assert step.quartiles == (2.0, 3.0, 4.0) and step.left(10) == 12.0
    bare = Step(5, {"total": 0.5}, (), 1e-4, 10.0, drift=0.25)
    assert bare.quartiles is None
    history = History([step, bare])
    assert (history.losses, history.scales, history.drift) == ([1.0, 0.5], [3.0], [(5, 0.25)])
    assert history.seconds == 10.0 and History().seconds == 0.0


def test_smoothing():
    from purecc_pack.purecc.training.history import smooth

    assert smooth([2.0] * 5) == pytest.approx([2.0] * 5)
    assert smooth([1.0, 3.0], weight=0.5) == pytest.approx([1.0, (0.25 * 1 + 0.5 * 3) / 0.75])
