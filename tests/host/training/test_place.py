"""Runs on moved references: what is told, what is learned, what the metadata keeps."""

from dataclasses import replace

import pytest
import runs
import torch

pytestmark = pytest.mark.slow


def job(**values):
    from purecc_pack.purecc.method.anchored import AnchoredLearning

    return runs.job(recipe=AnchoredLearning(replay=False), **{"steps": 2, **values})


@pytest.fixture(scope="module")
def centred(dataset):
    """Three references with the concept in the middle; the caption of the second speaks of a left of its own."""
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 2:6, 3:5] = 1.0
    return replace(dataset, items=tuple(replace(i, mask=mask) for i in dataset.items))


def trained(models, dataset, **values):
    quiet = runs.Quiet()
    return runs.customise(models, dataset, job(**values), quiet), quiet


def tensors(adapter):
    """What was learned, as one hash."""
    from purecc_pack.purecc.adapters.adapter import fingerprint

    return fingerprint({**adapter.lora, **adapter.embedding})


def test_references_that_share_a_place_are_moved_and_shown(models, centred):
    plain, before = trained(models, centred)
    outcome, quiet = trained(models, centred, places="auto")
    again, _ = trained(models, centred, places="auto")
    assert not before.notes
    (note,) = [n for n in quiet.notes if n.key == "note_moved"]
    assert note.values == {"moved": 2, "of": 3} and "2 of 3" in str(note)
    own, shown = quiet.masked
    assert len(own.items) == 3 and len(shown.items) == 3 + 2 * 3
    assert any(" on the left" in i.texts.complete for i in shown.items)
    assert tensors(outcome.adapter) == tensors(again.adapter)
    assert tensors(outcome.adapter) != tensors(plain.adapter)
    tags, moved = (o.adapter.metadata["ss_tag_frequency"] for o in (plain, outcome))
    assert tags == moved, "the file lists the user's own captions"


def at(dataset, *columns):
    """References with the concept at these columns of eight, two wide."""
    items = []
    for item, column in zip(dataset.items, columns, strict=True):
        mask = torch.zeros(1, 1, 8, 8)
        mask[..., 2:6, column : column + 2] = 1.0
        items.append(replace(item, mask=mask))
    return replace(dataset, items=tuple(items))


def test_places_are_said_where_nothing_is_moved(models, centred):
    _, quiet = trained(models, at(centred, 0, 3, 6), places="auto", steps=1)
    assert [n.key for n in quiet.notes] == ["note_placed"] and quiet.notes[0].values == {"said": 2, "of": 3}


def test_a_place_that_none_shows_is_shown_by_moved_ones(models, centred):
    """The first cannot be moved, being cut off, nor can the second, for its caption."""
    dataset = at(centred, 0, 3, 3)
    _, quiet = trained(models, dataset, places="auto", steps=1)
    assert [n.key for n in quiet.notes] == ["note_moved"] and quiet.notes[0].values == {"moved": 1, "of": 3}
    _, shown = quiet.masked
    assert all(" on the right" in item.texts.complete for item in shown.items[3:]) and len(shown.items) > 3
    _, said = trained(models, dataset, places="say", steps=1)
    assert [n.key for n in said.notes] == ["note_placed"]


def test_methods_without_masks_have_no_places(models, centred):
    outcome = runs.customise(models, centred, runs.job(places="move", steps=1))
    plain = runs.customise(models, centred, runs.job(steps=1))
    assert tensors(outcome.adapter) == tensors(plain.adapter)
