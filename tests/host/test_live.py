"""What a run shows to others while it goes on, and what of it is kept."""

import threading
from itertools import pairwise

import pytest
from liveruns import made, sample, step


def test_the_state_is_the_history(comfyui):
    from purecc_pack.purecc.curves import smooth

    run = made()
    losses = [0.5, 0.25, 1.0]
    for number, loss in enumerate(losses, start=1):
        run.step(
            step(number, loss, scales=(1.0, 2.0, 4.0, 5.0) if number == 2 else (), drift=0.1 * (number == 3) or None)
        )
    rows = run.state()["rows"]
    assert [row[1] for row in rows] == losses and [row[2] for row in rows] == pytest.approx(smooth(losses))
    assert [row[5:] for row in rows] == [[None] * 3, [1.75, 3.0, 4.25], [None] * 3]
    assert [row[4] for row in rows] == [None, None, 0.1]
    columns = run.state()["columns"]
    assert columns == list(live().COLUMNS) and all(len(row) == len(columns) for row in rows)
    assert [columns.index(c) for c in ("step", "loss", "smooth", "lr", "drift", "lower", "upper")] == [
        0,
        1,
        2,
        3,
        4,
        5,
        7,
    ]
    assert run.state()["pace"] == 1.0 and run.state()["left"] == 7.0


def test_the_time_left_is_that_of_the_steps(models, monkeypatch):
    """On the panel and on the node, however long the models were copied and masks were sought before."""
    import time

    from purecc_pack.purecc.host import progress

    told = []
    monkeypatch.setattr(progress, "say", lambda text, node_id: told.append(text))
    on_node, run = progress.NodeProgress("7", "extractor", 10), made()
    now = time.perf_counter()
    monkeypatch.setattr(time, "perf_counter", lambda: now + 3600.0)
    for number, seconds in ((1, 2.0), (4, 20.0)):
        on_node.step(step(number, seconds=seconds))
        run.step(step(number, seconds=seconds))
    assert [text.rpartition(", ")[2] for text in told] == ["0:18 left", "0:30 left"]
    assert run.head()["left"] == 30.0


def live():
    from purecc_pack.purecc.host import live

    return live


def test_what_is_sent_adds_up_and_is_seldom(comfyui):
    sent = []
    run = made(sent.append, interval=3600.0)
    for number in range(1, 6):
        run.step(step(number))
    assert [len(s["rows"]) for s in sent] == [1], "the first step is told, the others within the interval are not"
    run.sample([sample(5), sample(5)])
    run.step(step(6))
    run.end("finished")
    assert [(s["from"], len(s["rows"])) for s in sent] == [(0, 1), (1, 4), (5, 1)]
    assert [(s["samples_from"], len(s["samples"])) for s in sent] == [(0, 0), (0, 2), (2, 0)]
    assert sent[-1]["state"] == "finished"


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


def test_wishes_are_granted_once_but_a_stop(comfyui):
    run = made()
    run.step(step(1))
    run.wish("sample")
    run.wish("stop")
    assert run.head()["asked"] == ["sample", "stop"]
    assert run.granted("stop", "sample") == {"stop", "sample"}
    assert run.granted("stop", "sample") == {"stop"} and run.granted("save") == set()


def test_what_cannot_be_granted_is_refused(comfyui):
    refused = live().Refused
    with pytest.raises(refused, match="no VAE"):
        made(can_sample=False).wish("sample")
    run = made()
    run.say("drawing the pool")
    with pytest.raises(refused, match="before the first step"):
        run.wish("stop")
    assert run.head()["can_stop"] is False and run.head()["asked"] == []
    run.step(step(1))
    assert run.head()["can_stop"] is True
    run.wish("stop")
    run.end("cancelled")
    assert run.head()["can_stop"] is False
    with pytest.raises(refused, match="This run is cancelled"):
        run.wish("stop")
    assert run.head()["asked"] == []


def test_an_ended_run_goes_when_its_node_runs_again_or_others_have(comfyui):
    runs = live().Runs(most=2)
    first, other, running = made(node="1"), made(node="2"), made(node="1")
    for run in (first, other):
        runs.add(run)
        run.end("finished")
    runs.add(running)
    assert runs.all() == [other, running] and runs.get(first.id) is None
    again = made(node="1")
    runs.add(again)
    assert runs.all() == [other, running, again], "what runs is never dropped"
    elsewhere = made(node="2", workflow="another")
    runs.add(elsewhere)
    elsewhere.end("failed")
    running.end("finished")
    again.end("finished")
    last = made(node="9")
    runs.add(last)
    assert runs.all() == [again, elsewhere, last]
    assert len({run.id for run in runs.all()}) == 3 and all(len(run.id) >= 20 for run in runs.all())


def test_the_oldest_ended_runs_go_on_without_samples_where_all_hold_too_much(comfyui):
    runs = live().Runs(most_bytes=60)
    old, new, running = made(node="1"), made(node="2"), made(node="3")
    for run in (old, new, running):
        run.step(step(1))
        run.sample([sample(1), sample(2), sample(3)])
        assert run.size == len(b"base") + 3 * len(b"current 1")
    for run in (old, new):
        runs.add(run)
        run.end("finished")
    runs.add(running)
    runs.add(made(node="4"))
    assert [len(run.state()["samples"]) for run in runs.all()] == [0, 3, 3, 0]
    assert old.head()["kept"] == [] and len(old.state()["rows"]) == 1 and old.picture(0, "base") is None


def test_a_run_is_there_after_dozens_of_others(comfyui):
    runs = live().Runs()
    first = made(node="first")
    for run in (first, *(made(node=str(k)) for k in range(60))):
        runs.add(run)
        run.end("finished")
    assert runs.get(first.id) is first


def test_what_was_told_stays_beside_what_is_told_later(comfyui):
    run = made()
    assert run.head()["note"] == ""
    run.note("The extractor is not used.")
    run.note("no space for step 3", "saving")
    run.note("tightened")
    run.note("no space for step 6", "saving")
    assert run.head()["note"].splitlines() == ["The extractor is not used.", "no space for step 6", "tightened"]


def test_it_is_read_while_it_is_written(comfyui):
    run, torn = made(), []

    def read():
        while not run.ended:
            state = run.state()
            if [row[0] for row in state["rows"]] != list(range(1, state["step"] + 1)):
                torn.append(state)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(1, 2001):
        run.step(step(number))
    run.end("finished")
    reader.join()
    assert not torn
