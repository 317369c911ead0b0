"""Training nodes while they run: what the node and the browser are told, and how a run is steered from there."""

import io
import json

import pytest
from PIL import Image
from trainers import extract, learn

pytestmark = pytest.mark.slow


class Shown(tuple):
    """(bars, lines), and the events for the browser."""

    def __new__(cls, parts, events):
        made = super().__new__(cls, parts)
        made.events = events
        return made


@pytest.fixture
def shown(monkeypatch):
    """Everything a run shows on its node: (value, total, preview), and lines of text."""
    import comfy.utils
    from server import PromptServer

    bars, lines, events = [], [], []

    class Server:
        def send_sync(self, name, data):
            events.append((name, json.loads(json.dumps(data))))

        def send_progress_text(self, text, node_id):
            lines.append((node_id, text))

    monkeypatch.setattr(PromptServer, "instance", Server(), raising=False)
    comfy.utils.set_progress_bar_global_hook(
        lambda value, total, preview, node_id=None: bars.append((value, total, preview))
    )
    yield Shown((bars, lines), events)
    comfy.utils.set_progress_bar_global_hook(None)


def test_progress_with_step_loss_scale_and_time(models, dataset, extractor, shown):
    from purecc_pack.purecc.host.messages import Message

    bars, lines = shown
    learn(models, dataset, method="PureCC (paper)", extractor=extractor, steps=3, sample_every=2, vae=models.vae)
    assert all(node == "7" for node, _ in lines)
    texts = [text for _, text in lines]
    assert texts[0] == f"pure learning: {Message('phase_read_captions')}"
    for number, text in enumerate(texts[-3:], start=1):
        assert text.startswith(f"pure learning: step {number}/3, loss ") and ", λ " in text and text.endswith(" left")
    assert [(value, total) for value, total, _ in bars][-3:] == [(1, 3), (2, 3), (3, 3)]


def test_a_run_is_live_for_the_browser(models, dataset, extractor, shown, tmp_path, monkeypatch):
    """Every step, every sample with the base's own beside it, every adapter that was saved; then the run has ended."""
    import folder_paths

    from purecc_pack.purecc.host.ui.live_runs import RUNS

    monkeypatch.setattr(folder_paths, "get_folder_paths", lambda kind: [str(tmp_path / kind)])
    prompts = "a [v] robot\na lake"
    saving = {"autosave_every": 1, "autosave_keep": 2, "drift_every": 2, "drift_prompts": "a lake"}
    drawing = {"sample_every": 2, "sample_prompt": prompts, "vae": models.vae}
    _, _, loss = learn(models, dataset, extractor=extractor, steps=3, method="PureCC (paper)", **saving, **drawing)
    run = RUNS.all()[-1]
    state = run.state()
    assert (state["node"], state["title"], state["name"]) == ("7", "pure learning", "my_concept")
    assert (state["state"], state["step"], state["total"], state["left"]) == ("finished", 3, 3, None)
    assert [row[0] for row in state["rows"]] == [1, 2, 3]
    assert [row[1] for row in state["rows"]] == loss["loss"] and [row[6] for row in state["rows"]] == loss["lambda"]
    assert [(row[0], row[4]) for row in state["rows"] if row[4] is not None] == loss["drift"]
    assert [(s["step"], s["prompt"]) for s in state["samples"]] == [
        (step, prompt) for step in (2, 3) for prompt in prompts.splitlines()
    ]
    pictures = {(k, which): run.picture(k, which) for k in range(4) for which in ("base", "current")}
    assert all(Image.open(io.BytesIO(p)).size == (64, 64) for p in pictures.values())
    assert pictures[0, "base"] == pictures[2, "base"] != pictures[1, "base"]
    assert pictures[0, "base"] != pictures[0, "current"]
    assert state["saved"] == ["my_concept_step2", "my_concept_step3"]
    assert sorted(p.stem for p in (tmp_path / "loras").iterdir()) == state["saved"]
    used, total = state["memory"]
    assert 0 < used < total
    events = [data for name, data in shown.events if name == "purecc.run"]
    assert all(e["id"] == run.id for e in events) and events[-1]["state"] == "finished"
    assert [row for e in events for row in e["rows"]] == state["rows"], "the events together tell all"
    assert [s for e in events for s in e["samples"]] == state["samples"]


@pytest.mark.parametrize(("method", "said"), [("anchored", True), ("LoRA", True), ("PureCC (paper)", False)])
def test_an_extractor_that_the_method_does_not_use(models, dataset, extractor, shown, caplog, method, said):
    """Methods may be switched with it connected: training goes on without, and the node and the log say so."""
    import logging

    from purecc_pack.purecc.host.messages import Message
    from purecc_pack.purecc.host.ui.live_runs import RUNS

    caplog.set_level(logging.INFO)
    line = str(Message("note_extractor_unused"))
    kept = {"method": method, "steps": 1, "places": "say", "size": "keep"}
    learn(models, dataset, extractor=extractor, **kept)
    assert RUNS.all()[-1].head()["state"] == "finished" and (RUNS.all()[-1].head()["note"] == line) is said
    notes = [data["note"] for name, data in shown.events if name == "purecc.run"]
    assert set(notes) == ({line} if said else {""}), "told with the first event, and never taken back"
    assert any(line in record.getMessage() for record in caplog.records) is said
    learn(models, dataset, extractor=None if said else extractor, **kept)
    assert RUNS.all()[-1].head()["note"] == "" and line not in shown.events[-1][1]["note"]


def test_a_run_that_fails_or_is_cancelled_says_so(models, dataset, comfyui, monkeypatch):
    from comfy import model_management

    from purecc_pack.purecc.host.training import node_run as host_runs
    from purecc_pack.purecc.host.ui.live_runs import RUNS

    with pytest.raises(RuntimeError, match="finite"):
        extract(models, dataset, learning_rate=1e30, steps=4)
    assert RUNS.all()[-1].head()["state"] == "failed" and "too high" in RUNS.all()[-1].head()["text"]
    stepped = host_runs.NodeListener.step

    def cancel(self, step, previews):
        model_management.interrupt_current_processing()
        stepped(self, step, previews)

    monkeypatch.setattr(host_runs.NodeListener, "step", cancel)
    with pytest.raises(model_management.InterruptProcessingException):
        extract(models, dataset)
    assert RUNS.all()[-1].head()["state"] == "cancelled"


def test_stop_and_keep(models, dataset, monkeypatch):
    """The result is that of a run of so many steps, and says how many; the last drift and sample are of that step."""
    from purecc_pack.purecc.host.training import node_run as host_runs
    from purecc_pack.purecc.host.ui.live_runs import RUNS

    stepped = host_runs.NodeListener.step

    def stop(self, step, previews):
        stepped(self, step, previews)
        if step.number == 2:
            RUNS.all()[-1].request("stop")

    short, _ = extract(models, dataset, steps=3)
    monkeypatch.setattr(host_runs.NodeListener, "step", stop)
    extractor, loss = extract(
        models, dataset, steps=50, drift_every=40, drift_prompts="a lake", sample_every=40, vae=models.vae
    )
    assert extractor.id == short.id
    assert len(loss["loss"]) == 3 and [step for step, _ in loss["drift"]] == [3]
    state = RUNS.all()[-1].state()
    assert (state["state"], state["step"], state["total"]) == ("stopped", 3, 50)
    assert [s["step"] for s in state["samples"]] == [3]
    report = json.loads(extractor.metadata["purecc.report"])
    assert report["steps"] == 3 and report["stopped"] is True and extractor.metadata["purecc.steps"] == "3"
    assert json.loads(short.metadata["purecc.report"])["stopped"] is False


def test_sample_now_and_save_now(models, dataset, tmp_path, monkeypatch):
    """Granted once, at the next step; the saved adapter is the one a run of so many steps leaves."""
    import folder_paths

    from purecc_pack.purecc.adapters import files
    from purecc_pack.purecc.host.training import node_run as host_runs
    from purecc_pack.purecc.host.ui.live_runs import RUNS

    stepped = host_runs.NodeListener.step
    folders = [tmp_path / kind for kind in ("loras", "embeddings")]
    monkeypatch.setattr(folder_paths, "get_folder_paths", lambda kind: [str(tmp_path / kind)])

    def ask(self, step, previews):
        stepped(self, step, previews)
        if step.number == 1:
            RUNS.all()[-1].request("sample")
            RUNS.all()[-1].request("save")

    monkeypatch.setattr(host_runs.NodeListener, "step", ask)
    full, _ = extract(models, dataset, name="now", steps=3, sample_every=0, vae=models.vae)
    state = RUNS.all()[-1].state()
    assert [s["step"] for s in state["samples"]] == [2] and state["saved"] == ["now_step1"] and state["asked"] == []
    monkeypatch.undo()
    saved = files.load(*(folder / "now_step1.safetensors" for folder in folders))
    alone, _ = extract(models, dataset, name="now", steps=1)
    assert saved.id == alone.id != full.id and saved.name == "now_step1" and saved.metadata["purecc.steps"] == "1"
