"""Trainings that meet a taken name, a disk that refuses, or an extractor of something else."""

import pytest
import runs
from trainers import extract, learn

pytestmark = pytest.mark.slow


@pytest.fixture
def told(monkeypatch):
    """(key, values) of every message that a run tells, with the number of steps that were made before it."""
    from purecc_pack.purecc.host.ui.live_run import LiveRun

    found, note = [], LiveRun.note

    def watched(self, message, *args):
        found.append((message.key, dict(message.values), len(self.state()["rows"])))
        return note(self, message, *args)

    monkeypatch.setattr(LiveRun, "note", watched)
    return found


def test_a_taken_name_is_said_before_the_first_step(models, dataset, host_folders, told):
    from purecc_pack.nodes import SaveAdapter

    adapter = extract(models, dataset, name="rob")[0]
    assert runs.execute(SaveAdapter, adapter=adapter).args == ("rob",)
    assert not [key for key, *_ in told if key == "note_name_taken"]
    again = extract(models, dataset, name="rob", seed=1)[0]
    assert [entry for entry in told if entry[0] == "note_name_taken"] == [("note_name_taken", {"name": "rob"}, 0)]
    assert runs.execute(SaveAdapter, adapter=again).args == ("rob_2",)
    assert {path.name for path in (host_folders / "loras").glob("*.safetensors")} == {
        "rob.safetensors",
        "rob_2.safetensors",
    }


def test_traces_that_cannot_be_written_cost_no_training(models, dataset, told, tmp_path, monkeypatch):
    import folder_paths

    (tmp_path / "purecc").write_text("in the way of the folder")
    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path))
    plain, traced = (extract(models, dataset, trace_steps=steps)[0] for steps in ("", "1"))
    assert plain.lora.keys() == traced.lora.keys() and runs.digest(plain.lora) == runs.digest(traced.lora)
    ((_, values, _),) = [entry for entry in told if entry[0] == "note_traces_not_saved"]
    assert str(tmp_path / "purecc") in values["error"]


def test_an_extractor_of_another_class_is_refused(models, extractor, dataset):
    other = runs.build(models, captions=["a [v] dog", "a [v] dog on grass", "a [v] dog in snow"], class_word="dog")
    with pytest.raises(ValueError, match=r"trained for 'robot' and class_word is 'dog'"):
        learn(models, other, method="PureCC (paper)", extractor=extractor)
    assert learn(models, dataset, method="PureCC (paper)", extractor=extractor)[0].kind == "adapter"
