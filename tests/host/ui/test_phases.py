"""What is done before the first step, with its seconds, and what is left of it."""

import pytest
from liveruns import made, step


@pytest.fixture
def phases(comfyui):
    """Phases whose clock is `phases.now`, and a function that begins one."""
    from purecc_pack.purecc.host.messages import Message
    from purecc_pack.purecc.host.ui.phases import Phases

    class Timed(Phases):
        now = 0.0

        def at(self, seconds, key, **values):
            self.now = seconds
            self.begin(Message(key, values))
            return self.as_json()

    timed = Timed(lambda: timed.now)
    return timed


def test_a_phase_that_counts_says_what_is_left(phases):
    assert [(p["seconds"], p["left"]) for p in phases.at(0, "phase_copy_model")] == [(None, None)]
    (copied, found) = phases.at(4, "phase_find_masks", word="robot", number=1, count=5)
    assert copied["seconds"] == 4 and (found["seconds"], found["left"]) == (None, None)
    assert phases.at(10, "phase_find_masks", word="robot", number=3, count=5)[-1]["left"] == 9.0  # 3 s each, 3 to go
    copied, found, _ = phases.at(21, "phase_try_pass")
    assert (copied["seconds"], found["seconds"]) == (4, 17)
    assert found["text"] == "Finding the robot in image 3 of 5"


def test_what_goes_on_from_the_middle_counts_from_there(phases):
    """As the pool does of which some images are cached."""
    assert phases.at(0, "phase_sample_pool", number=11, count=20)[0]["left"] is None
    assert phases.at(8, "phase_sample_pool", number=15, count=20)[0]["left"] == 12.0


def test_ended_phases_all_have_seconds(phases):
    phases.at(0, "phase_read_captions")
    phases.now = 2.0
    phases.end()
    phases.end()
    assert [(p["key"], p["seconds"], p["left"]) for p in phases.as_json()] == [("phase_read_captions", 2.0, None)]


def test_a_run_has_phases_until_its_first_step(comfyui):
    from purecc_pack.purecc.host.messages import Phase

    run = made()
    run.phase(Phase.READ_CAPTIONS)
    run.phase(Phase.FIND_MASKS, word="robot", number=1, count=3)
    assert [phase["key"] for phase in run.head()["phases"]] == ["phase_read_captions", "phase_find_masks"]
    run.step(step(1))
    assert run.head()["phases"] == []
