"""What a run shows while it goes on, and which requests it takes."""

import threading

import pytest
from liveruns import made, sample, step


def test_the_state_is_the_history(comfyui):
    from purecc_pack.purecc.host.ui.step_rows import COLUMNS
    from purecc_pack.purecc.training.history import smooth

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
    assert columns == list(COLUMNS) and all(len(row) == len(columns) for row in rows)
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

    from purecc_pack.purecc.host.ui import node_progress

    told = []
    monkeypatch.setattr(node_progress, "say", lambda text, node_id: told.append(text))
    on_node, run = node_progress.NodeProgress("7", "extractor", 10), made()
    now = time.perf_counter()
    monkeypatch.setattr(time, "perf_counter", lambda: now + 3600.0)
    for number, seconds in ((1, 2.0), (4, 20.0)):
        on_node.step(step(number, seconds=seconds))
        run.step(step(number, seconds=seconds))
    assert [text.rpartition(", ")[2] for text in told] == ["0:18 left", "0:30 left"]
    assert run.head()["left"] == 30.0


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


def test_requests_are_granted_once_but_a_stop(comfyui):
    run = made()
    run.step(step(1))
    run.request("sample")
    run.request("stop")
    assert run.head()["asked"] == ["sample", "stop"]
    assert run.granted("stop", "sample") == {"stop", "sample"}
    assert run.granted("stop", "sample") == {"stop"} and run.granted("save") == set()


def test_what_cannot_be_granted_is_refused(comfyui):
    from purecc_pack.purecc.host.messages import Phase
    from purecc_pack.purecc.host.ui.run_state import RequestRefused

    def reason(run, what):
        with pytest.raises(RequestRefused) as refused:
            run.request(what)
        return refused.value.message.key

    assert reason(made(can_sample=False), "sample") == "no_vae"
    run = made()
    run.phase(Phase.COPY_MODEL)
    assert reason(run, "stop") == "no_step"
    assert run.head()["can_stop"] is False and run.head()["asked"] == []
    run.step(step(1))
    assert run.head()["can_stop"] is True
    run.request("stop")
    run.end("cancelled")
    assert run.head()["can_stop"] is False
    assert reason(run, "stop") == "run_ended"
    assert run.head()["asked"] == []


def test_notes_stay_beside_later_ones_and_are_told_by_key(comfyui):
    from purecc_pack.purecc.host.messages import Message

    run = made()
    assert run.head()["note"] == "" and run.head()["notes"] == []
    unused = Message("note_extractor_unused")
    run.note(unused)
    for step_ in (3, 6):
        run.note(Message("note_not_saved", {"step": step_, "error": "disk full"}), "saving")
        run.note(Message("note_reduced", {"step": step_}), "memory")
    notes = run.head()["notes"]
    assert [(n["key"], n["values"].get("step")) for n in notes] == [
        ("note_extractor_unused", None),
        ("note_not_saved", 6),
        ("note_reduced", 6),
    ]
    assert run.head()["note"].splitlines() == [n["text"] for n in notes] and notes[0]["text"] == str(unused)


def test_the_phase_is_told_by_key_and_an_error_in_its_own_words(comfyui):
    from purecc_pack.purecc.host.messages import Phase

    run = made()
    assert run.head()["message"] is None and run.head()["text"] == ""
    run.phase(Phase.FIND_MASKS, word="robot", number=2, count=5)
    message = run.head()["message"]
    assert message["key"] == "phase_find_masks" and message["values"] == {"word": "robot", "number": 2, "count": 5}
    assert run.head()["text"] == message["text"] and "robot" in message["text"]
    run.step(step(1))
    assert run.head()["message"] is None and run.head()["text"] == ""
    run.end("failed", "a {brace} is too much")
    assert run.head()["message"] is None and run.head()["text"] == "a {brace} is too much"


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
