"""The queue of concepts: one owner a concept, whoever dies, and nothing lost or done twice."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import owners
import pytest
from concept_queue import DONE, LEFT, Clock, ConceptQueue, ends

SCRIPTS = Path(__file__).resolve().parent.parent.parent / "scripts"
NAMES = ["cat", "dog, two", "a.b", "größe"]


class Time:
    """A clock that is set by hand, and processes that are dead if their number is listed."""

    def __init__(self):
        self.now, self.dead = 0.0, set()

    def of(self, number: int, began: float = 0.0) -> Clock:
        return Clock(lambda: self.now, {"number": number}, lambda o: o.get("number") in self.dead, began, 100.0)


@pytest.fixture
def clock():
    return Time()


def two(folder, clock, names=NAMES):
    return ConceptQueue(folder, names, clock.of(1)), ConceptQueue(folder, names, clock.of(2), 0.5)


def test_each_concept_is_taken_once_and_all_are(tmp_path, clock):
    one, other = two(tmp_path, clock)
    claims = [queue.take() for queue in (one, other, one, other)]
    assert sorted(claim.key for claim in claims) == sorted(NAMES) and claims[1].key == NAMES[2]
    assert one.take() is None and other.take() is None and one.unfinished() == 4
    for queue, claim in zip((one, other, one, other), claims, strict=True):
        assert queue.end(claim, DONE, {"name": claim.key})
    assert one.take() is None and one.unfinished() == 0
    assert sorted(end["entry"]["name"] for end in ends(tmp_path)) == sorted(NAMES)


def test_a_claim_is_taken_over_from_the_dead_at_once_and_from_the_silent_later(tmp_path, clock):
    one, other = two(tmp_path, clock, ["cat"])
    claim = one.take()
    assert other.take() is None
    clock.now = 90.0
    assert one.beat(claim) and other.take() is None
    clock.now = 180.0
    assert other.take() is None, "90 s since the beat was seen"
    clock.now = 191.0
    second = other.take()
    assert (second.number, second.deaths, second.begun) == (2, 1, True)
    assert not one.beat(claim) and not one.end(claim, DONE), "what it did does not count"
    clock.dead = {2}
    third = one.take()
    assert (third.number, third.deaths) == (3, 2) and one.end(third, DONE)
    assert other.take() is None and len(list(ends(tmp_path))) == 1


def test_who_shows_life_between_look_and_claim_keeps_it(tmp_path, clock):
    one, other = two(tmp_path, clock, ["cat", "dog"])
    claims = one.take(), one.take()
    assert other.take() is None
    clock.now = 101.0
    assert other.take().key == claims[1].key, "both are found abandoned"
    assert one.beat(claims[0])
    assert other.take() is None


def test_an_end_and_a_takeover_exclude_each_other(tmp_path, clock):
    one, other = two(tmp_path, clock, ["cat"])
    claim = one.take()
    clock.dead = {1}
    assert one.end(claim, DONE) and other.take() is None


def test_what_failed_is_tried_again_by_a_later_call_and_what_was_left_at_once(tmp_path, clock):
    one, other = two(tmp_path, clock, ["cat"])
    assert one.end(one.take(), LEFT)
    claim = other.take()
    assert (claim.begun, claim.deaths) == (True, 0)
    assert other.end(claim, "failed")
    # The queues of this call began in 1970, and a failure is later than that.
    assert one.take() is None and one.unfinished() == 0
    later = ConceptQueue(tmp_path, ["cat"], clock.of(3, time.time() + 1))
    assert later.take().number == 5


def test_what_is_done_can_be_done_again_if_its_files_are_gone(tmp_path, clock):
    one, _ = two(tmp_path, clock, ["cat"])
    assert one.end(one.take(), DONE, {"files": ["x"]})
    later = ConceptQueue(tmp_path, ["cat"], clock.of(3))
    assert later.done() == {"cat": {"files": ["x"]}} and later.take() is None
    again = ConceptQueue(tmp_path, ["cat"], clock.of(4))
    again.reopen("cat")
    again.reopen("cat")
    claim = again.take()
    assert claim.number == 4 and again.done() == {}
    assert again.end(claim, DONE) and again.take() is None and again.unfinished() == 0


def test_a_file_that_a_power_cut_emptied_is_nobodys_claim(tmp_path, clock):
    (tmp_path / "cat.0001").touch()
    queue = ConceptQueue(tmp_path, ["cat"], clock.of(1))
    assert queue.take() is None
    clock.now = 101.0
    assert queue.take().number == 2


def test_without_links_a_claim_is_still_exclusive(tmp_path, clock, monkeypatch):
    def none(*_):
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", none)
    one, other = two(tmp_path, clock, ["cat"])
    claim = one.take()
    assert other.take() is None and one.end(claim, DONE, {"n": 1})
    assert [end["entry"] for end in ends(tmp_path)] == [{"n": 1}]


def test_a_process_is_known_from_one_that_has_its_number_later():
    mine = owners.this()
    assert not owners.is_dead(mine) and owners.is_dead(mine | {"started": "1"})
    assert not owners.is_dead(mine | {"machine": "another"}) and not owners.is_dead({})
    child = subprocess.Popen([sys.executable, "-c", ""])
    named = mine | {"pid": child.pid}
    child.wait()
    assert owners.is_dead(named)


WORKER = """
import json, random, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from concept_queue import DONE, ConceptQueue
folder, states, log = Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
queue = ConceptQueue(folder, [f"c{k}" for k in range(40)], first=random.random())
while True:
    claim = queue.take()
    if claim is None:
        if not queue.unfinished():
            break
        time.sleep(0.01)
        continue
    state = states / claim.key
    for step in range(int(state.read_text()) if state.exists() else 0, 10):
        time.sleep(0.002)
        with log.open("a") as file:
            file.write(f"{claim.key} {step}\\n")
        state.with_suffix(f".{claim.number}").write_text(str(step + 1))
        state.with_suffix(f".{claim.number}").replace(state)
    queue.end(claim, DONE, {"name": claim.key})
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no kill -9")
def test_processes_killed_at_random_lose_and_double_nothing(tmp_path):
    """Four processes, 20 kills; every concept ends once, and a kill costs at most the step at hand."""
    queue, states, log = tmp_path / "queue", tmp_path / "states", tmp_path / "log"
    states.mkdir()
    command = [sys.executable, "-c", WORKER, *map(str, (SCRIPTS, queue, states, log))]
    chance, kills = random.Random(0), 0
    processes = [subprocess.Popen(command) for _ in range(4)]
    until = time.monotonic() + 60
    while any(p.poll() is None for p in processes) and time.monotonic() < until:
        time.sleep(0.05)
        k = chance.randrange(4)
        if kills < 20 and processes[k].poll() is None:
            processes[k].kill()
            processes[k].wait()
            processes[k] = subprocess.Popen(command)
            kills += 1
    assert [p.wait(10) for p in processes] == [0] * 4
    events = [json.loads(path.read_text()) for path in queue.glob("c*") if path.suffix[1:].isdigit()]
    finished = [event["key"] for event in events if event["event"] == "end"]
    assert sorted(finished) == sorted(f"c{k}" for k in range(40))
    steps = log.read_text().splitlines()
    assert set(steps) == {f"c{k} {step}" for k in range(40) for step in range(10)}
    assert kills >= 5 and len(steps) - 400 <= kills
