"""Datasets and trainings that meet a spoilt VAE, a taken name, a disk that refuses, or a foreign extractor."""

import pytest
import runs
import torch
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


def test_latents_that_the_vae_spoils_are_refused_before_there_is_a_dataset(models, monkeypatch):
    from purecc_pack.nodes import ConceptDataset

    encode, images, factors = models.vae.encode, runs.pictures(), iter((1.0, float("nan"), 1.0))
    monkeypatch.setattr(models.vae, "encode", lambda image: encode(image) * next(factors))
    with pytest.raises(ValueError, match=r"The VAE gave 1024 numbers .* image 2 of 3 \('.*'\)\. Load the VAE in"):
        values = {"class_word": ["robot"], "vae": [models.vae], "resolution": [0]}
        runs.execute(ConceptDataset, images=images, captions=list(runs.CAPTIONS), **values)


def test_masks_of_a_spoilt_model_are_refused_by_their_node(checkpoint, dataset):
    from purecc_pack.nodes import ConceptMasks

    own, name = runs.load(checkpoint, reload=False), "joint_blocks.0.x_block.mlp.fc1.weight"
    with torch.inference_mode():
        own.model.model.diffusion_model.get_parameter(name).view(-1)[3] = float("nan")
    with pytest.raises(ValueError, match=rf"for the mask of image 1\. The cause: the model's weight {name}"):
        runs.execute(ConceptMasks, model=own.model, clip=own.clip, dataset=dataset)
