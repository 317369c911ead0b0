"""What the host refuses when a prompt is queued, before anything runs: each message names the input to change."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest
from trainers import extract

EXTRACTOR, LEARNING = "PureCCTrainExtractor", "PureCCPureLearning"


@pytest.fixture
def refused(comfyui):
    """What the host says of a node's inputs, those left out aside, {input: message}."""
    import execution

    import nodes
    from purecc_pack.nodes import NODES

    for node in NODES:
        nodes.NODE_CLASS_MAPPINGS[node.GET_SCHEMA().node_id] = node

    def ask(node_id, /, **inputs):
        prompt = {"1": {"class_type": node_id, "inputs": inputs}}
        _, errors, _ = asyncio.run(execution.validate_inputs("prompt", prompt, "1", {}))
        told = [e for e in errors if e["type"] != "required_input_missing"]
        return {e["extra_info"]["input_name"]: e["details"].partition(" - ")[2] or e["type"] for e in told}

    return ask


@pytest.mark.parametrize(
    ("kind", "values", "field"),
    [
        (EXTRACTOR, {"name": "a/b"}, "name"),
        (EXTRACTOR, {"name": ""}, "name"),
        (LEARNING, {"name": "con"}, "name"),
        (EXTRACTOR, {"trace_steps": "soon"}, "trace_steps"),
        (EXTRACTOR, {"best_drift": 0.1, "drift_every": 0}, "best_drift"),
        (EXTRACTOR, {"best_drift": -1.0, "drift_every": 5}, "best_drift"),
        (EXTRACTOR, {"best_drift": float("nan"), "drift_every": 5}, "best_drift"),
        (EXTRACTOR, {"drift_every": -3, "best_drift": 0.0}, "drift_every"),
        (EXTRACTOR, {"gradient_checkpointing": "some"}, "gradient_checkpointing"),
        (LEARNING, {"method": "magic"}, "method"),
        (LEARNING, {"method": "PureCC (paper)"}, "extractor"),
        ("PureCCConceptDataset", {"class_word": "", "kind": "instance"}, "class_word"),
        ("PureCCConceptDataset", {"class_word": "a dog", "kind": "instance"}, "class_word"),
        ("PureCCConceptDataset", {"class_word": [], "kind": "instance"}, "class_word"),
        ("PureCCConceptDataset", {"class_word": "[v]", "kind": "style"}, "class_word"),
        ("PureCCConceptDataset", {"class_word": "dog", "kind": "thing"}, "kind"),
        ("PureCCApplyAdapter", {"strength_3": float("inf")}, "strength_3"),
        ("PureCCApplyAdapter", {"strength": float("nan")}, "strength"),
        ("PureCCApplyAdapter", {"strength": 11.0}, "strength"),
        ("PureCCPreservationReport", {"filename_prefix": "../x"}, "filename_prefix"),
        ("PureCCCompareAdapters", {"filename_prefix": "/etc/x"}, "filename_prefix"),
        ("PureCCMeasurePictures", {"filename_prefix": "a/../../x"}, "filename_prefix"),
        ("PureCCMeasurePictures", {"filename_prefix": "x" * 300}, "filename_prefix"),
        ("PureCCMeasurePictures", {"filename_prefix": "名" * 100}, "filename_prefix"),
        ("PureCCCompareAdapters", {"filename_prefix": "a\0b"}, "filename_prefix"),
        ("PureCCPreservationReport", {"filename_prefix": "\ud800"}, "filename_prefix"),
        (EXTRACTOR, {"trace_steps": "²"}, "trace_steps"),
        (EXTRACTOR, {"trace_steps": "9" * 5000}, "trace_steps"),
    ],
)
def test_a_bad_input_is_named(refused, kind, values, field):
    messages = set(refused(kind, **values).values())
    assert len(messages) == 1 and messages.pop().startswith(field)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (EXTRACTOR, {"name": "fine", "trace_steps": "1, 3", "best_drift": 0.1, "drift_every": 5}),
        (LEARNING, {"method": "anchored", "preset": "strong"}),
        ("PureCCConceptDataset", {"class_word": "", "kind": "style"}),
        ("PureCCConceptDataset", {"class_word": "teddy bear", "kind": "instance"}),
        ("PureCCApplyAdapter", {"strength": -2.0}),
        ("PureCCPreservationReport", {"filename_prefix": "new/folder/report"}),
    ],
)
def test_good_inputs_pass(refused, kind, values):
    assert refused(kind, **values) == {}


@pytest.fixture(params=["in the way", "read-only", "full"])
def unusable(request, host_folders, monkeypatch, tmp_path):
    """The loras folder, in which nothing can be saved."""
    import folder_paths

    folder = tmp_path / "drive" / "loras"
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "loras", ([str(folder)], {".safetensors"}))
    if request.param == "in the way":
        folder.parent.write_text("no folder")
    elif request.param == "read-only":
        allowed = os.access
        monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path and allowed(path, mode))
    else:
        left = shutil.disk_usage(tmp_path)._replace(free=1000)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: left)
    return folder


def test_an_adapter_that_cannot_be_saved_is_refused(refused, unusable):
    (message,) = refused("PureCCSaveAdapter", overwrite=False).values()
    assert message.startswith("adapter cannot be saved") and str(unusable) in message


@pytest.mark.slow
@pytest.mark.parametrize(("saves", "values"), [(True, {}), (False, {"autosave_every": 1}), (False, {})])
def test_what_could_not_be_saved_is_not_trained(models, dataset, unusable, saves, values):
    prompt = {"8": {"class_type": "PureCCSaveAdapter", "inputs": {"adapter": ["7", 0]}}} if saves else {}
    if saves or values:
        with pytest.raises(ValueError, match="Nothing was trained") as said:
            extract(models, dataset, prompt=prompt, **values)
        assert str(unusable) in str(said.value)
    else:
        assert extract(models, dataset, prompt=prompt)[0].name


@pytest.mark.slow
def test_room_for_what_will_be_saved_is_looked_for_before_training(models, dataset, host_folders, monkeypatch):
    """Rank 4 on the attention of PureCC Tiny is 258 kB; three autosaves and the one that is being written are four."""
    from purecc_pack.purecc.host import room

    trained = extract(models, dataset, rank=4)[0]
    size = sum(tensor.nbytes for key, tensor in trained.lora.items() if not key.endswith("alpha"))
    left = shutil.disk_usage(host_folders)
    for count, values in ((1, {}), (4, {"autosave_every": 1, "autosave_keep": 3})):
        prompt = {} if values else {"8": {"class_type": "PureCCSaveAdapter", "inputs": {"adapter": ["7", 0]}}}
        monkeypatch.setattr(room, "LEAST_FREE", 0)
        monkeypatch.setattr(shutil, "disk_usage", lambda path, n=count: left._replace(free=n * size - 1))
        with pytest.raises(ValueError, match=r"Nothing was trained.* MB free, and what will be saved takes"):
            extract(models, dataset, prompt=prompt, rank=4, **values)
        monkeypatch.setattr(shutil, "disk_usage", lambda path, n=count: left._replace(free=n * size))
        assert extract(models, dataset, prompt=prompt, rank=4, **values)[0].name


def test_a_folder_that_cannot_be_written_to_is_refused(refused, monkeypatch):
    import folder_paths

    output = folder_paths.get_output_directory()
    Path(output).mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != Path(output))
    (message,) = refused("PureCCMeasurePictures", filename_prefix="report").values()
    assert message.startswith("filename_prefix") and output in message


@pytest.mark.parametrize(
    ("kind", "name", "values"),
    [
        (EXTRACTOR, "drift_every", {"best_drift": 0.1, "drift_every": "soon"}),
        (EXTRACTOR, "best_drift", {"best_drift": [1], "drift_every": 5}),
        (EXTRACTOR, "name", {"name": [1]}),
        (EXTRACTOR, "method", {"method": {"a": 1}}),
        (EXTRACTOR, "trace_steps", {"trace_steps": True}),
        ("PureCCApplyAdapter", "strength", {"strength": "much"}),
    ],
)
def test_a_value_that_the_host_could_not_convert_is_named(comfyui, kind, name, values):
    from purecc_pack.nodes import NODES

    node = next(node for node in NODES if node.GET_SCHEMA().node_id == kind)
    needed = {"input_types": {}} if kind == EXTRACTOR else {}
    assert node.validate_inputs(**needed, **values).startswith(f"{name} is {values[name]!r}")
