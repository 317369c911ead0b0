"""Concept Dataset tells the page which image it reads and encodes."""

import pytest
import runs


@pytest.fixture
def told(comfyui, monkeypatch):
    """The events of a dataset, as (name, data)."""
    from purecc_pack.purecc.host.ui import preparing

    events = []
    monkeypatch.setattr(preparing, "send", lambda name, data: events.append((name, data)))
    return events


def dataset(models, captions=runs.CAPTIONS):
    from purecc_pack.nodes import ConceptDataset

    values = {"class_word": ["robot"], "vae": [models.vae], "resolution": [0]}
    return runs.execute(ConceptDataset, images=runs.pictures(), captions=list(captions), **values)


def test_a_dataset_tells_of_every_image(models, told, monkeypatch):
    from purecc_pack.purecc.host.ui import preparing

    monkeypatch.setattr(preparing, "INTERVAL", 0.0)
    dataset(models)
    assert {name for name, _ in told} == {"purecc.preparing"}
    now = [[p for p in data["phases"] if p["seconds"] is None] for _, data in told]
    said = [(p["key"], p["values"]["number"], p["values"]["count"]) for (p,) in filter(None, now)]
    assert said == [(key, n, 3) for key in ("phase_read_images", "phase_encode_images") for n in (1, 2, 3)]
    assert now[-1] == [] and [p["key"] for p in told[-1][1]["phases"]] == ["phase_read_images", "phase_encode_images"]


def test_many_images_are_told_seldom(models, told, monkeypatch):
    """Every phase when it begins, and the end."""
    from purecc_pack.purecc.host.ui import preparing

    monkeypatch.setattr(preparing, "INTERVAL", 3600.0)
    dataset(models)
    assert len(told) == 3


def test_a_dataset_that_is_refused_was_told_of(models, told):
    with pytest.raises(ValueError, match="robot"):
        dataset(models, ["a lake"] * 3)
    assert [p["key"] for _, data in told for p in data["phases"]] == ["phase_read_images"]
