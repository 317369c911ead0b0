"""Which runs of a session are kept."""

from liveruns import made, sample, step


def test_an_ended_run_goes_when_its_node_runs_again_or_others_have(comfyui):
    from purecc_pack.purecc.host.ui.live_runs import Runs

    runs = Runs(most=2)
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
    from purecc_pack.purecc.host.ui.live_runs import Runs

    runs = Runs(most_bytes=60)
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
    from purecc_pack.purecc.host.ui.live_runs import Runs

    runs = Runs()
    first = made(node="first")
    for run in (first, *(made(node=str(k)) for k in range(60))):
        runs.add(run)
        run.end("finished")
    assert runs.get(first.id) is first
