"""Adapters that are written while training goes on."""

from dataclasses import replace

import pytest
import torch
from liveruns import made, step


@pytest.fixture
def folders(tmp_path):
    return tmp_path / "loras", tmp_path / "embeddings"


@pytest.fixture
def plain(comfyui):
    from purecc_pack.purecc.adapters.files import Adapter

    lora = {
        "diffusion_model.x.lora_up.weight": torch.ones(4, 2),
        "diffusion_model.x.lora_down.weight": torch.ones(2, 4),
    }
    return Adapter("adapter", "mine", lora, {"clip_l": torch.ones(1, 8)}, None, {})


def saver(folders, live, name="mine", **values):
    from purecc_pack.purecc.host.training.autosave import Saver, Saving

    return Saver(Saving(**values), name, folders, live)


def at(plain, number):
    """The adapter of a step, under a name."""
    return lambda name: replace(plain, name=name, lora={k: number * v for k, v in plain.lora.items()})


def there(folders):
    loras, embeddings = (sorted(p.stem for p in f.glob("*")) if f.exists() else [] for f in folders)
    assert loras == embeddings
    return loras


def test_autosaves_keep_the_newest(folders, plain):
    live = made()
    saving = saver(folders, live, every=2, keep=2)
    for number in range(1, 9):
        saving.after(step(number), number == 3, at(plain, number))
    assert there(folders) == ["mine_step3", "mine_step6", "mine_step8"], "what the user asked for stays"
    assert live.head()["saved"] == ["mine_step3", "mine_step6", "mine_step8"]


def test_nothing_is_written_unasked(folders, plain):
    saver(folders, made()).after(step(1, drift=0.0), False, at(plain, 1))
    assert there(folders) == []


def test_files_of_others_are_neither_replaced_nor_deleted(folders, plain):
    from purecc_pack.purecc.adapters import files

    theirs = files.save(replace(plain, name="mine_step1"), *folders)[0].read_bytes()
    live = made()
    saving = saver(folders, live, every=1, keep=1)
    saving.after(step(1), False, at(plain, 1))
    assert there(folders) == ["mine_step1", "mine_step1_2"] and live.head()["saved"] == ["mine_step1_2"]
    files.save(at(plain, 9)("mine_step1_2"), *folders, overwrite=True)
    saving.after(step(2), False, at(plain, 2))
    assert there(folders) == ["mine_step1", "mine_step1_2", "mine_step2"], "it is another's by now"
    assert (folders[0] / "mine_step1.safetensors").read_bytes() == theirs


def test_the_best_so_far_by_its_rule(folders, plain):
    """The lowest smoothed concept loss where drift was measured and is within the bound, once the mean has settled."""
    from purecc_pack.purecc.adapters import files
    from purecc_pack.purecc.training.history import smooth

    live = made()
    saving = saver(folders, live, best_drift=0.5)
    losses = [1.0] * 19 + [0.9, 0.5, 0.4, 0.3, 5.0, 0.1]
    drifts = {5: 0.1, 20: 0.2, 21: None, 22: 0.6, 23: 0.5, 24: 0.1, 25: 0.2}
    best = []
    for number, loss in enumerate(losses, start=1):
        saving.after(step(number, loss, drift=drifts.get(number)), False, at(plain, number))
        best.append((live.head()["best"] or {}).get("step"))
    assert best == [None] * 19 + [20, 20, 20, 23, 23, 23]
    assert there(folders) == ["mine_best"]
    assert live.head()["best"]["loss"] == smooth(losses)[22] and live.head()["best"]["drift"] == 0.5
    assert live.head()["best"]["bound"] == 0.5
    (key, *_) = plain.lora
    assert float(files.load(*(f / "mine_best.safetensors" for f in folders)).lora[key][0, 0]) == 23.0


def test_a_disk_that_refuses_ends_no_training(folders, plain, monkeypatch):
    from purecc_pack.purecc.adapters import files

    def full(*args):
        raise OSError("No space left on device")

    monkeypatch.setattr(files, "save", full)
    live = made()
    saver(folders, live).after(step(4), True, at(plain, 4))
    (note,) = live.head()["notes"]
    assert note["values"] == {"step": 4, "error": "No space left on device"}
    assert live.head()["saved"] == []


def test_what_could_not_be_deleted_is_tried_again(folders, plain, monkeypatch):
    """As on Windows, where a file that another program reads cannot be deleted."""
    from pathlib import Path

    live, unlink, locked = made(), Path.unlink, ["mine_step1.safetensors"]

    def refuses(path, **options):
        if path.name in locked:
            raise PermissionError("used by another process")
        unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", refuses)
    saving = saver(folders, live, every=1, keep=1)
    for number in range(1, 4):
        saving.after(step(number), False, at(plain, number))
    assert there(folders) == ["mine_step1", "mine_step3"] == live.head()["saved"]
    (note,) = live.head()["notes"]
    assert note["values"] == {"name": "mine_step1", "error": "used by another process"}
    locked.clear()
    saving.after(step(4), False, at(plain, 4))
    assert there(folders) == ["mine_step4"] == live.head()["saved"]


def test_the_longest_name(folders, plain):
    saver(folders, made(), name="n" * 100).after(step(4), True, at(plain, 4))
    assert there(folders) == ["n" * 94 + "_step4"]


def test_a_run_that_goes_on_keeps_its_autosaves_and_its_best(folders, plain):
    """Also those that it wrote after the state that it goes on from: it comes by them again."""
    import json

    from purecc_pack.purecc.training.history import History

    def steps(first, last):
        return [step(number, 1.0 / number, drift=0.1) for number in range(first, last + 1)]

    first, live = saver(folders, made(), every=2, keep=2, best_drift=0.5), made()
    for one in steps(1, 22):
        first.after(one, False, at(plain, one.number))
    state = json.loads(json.dumps(first.state()))
    for one in steps(23, 25):
        first.after(one, False, at(plain, one.number))
    assert there(folders) == ["mine_best", "mine_step22", "mine_step24"]

    second = saver(folders, live, every=2, keep=2, best_drift=0.5)
    second.restore(state, History(steps(1, 22)))
    assert live.head()["saved"] == ["mine_step22"] and live.head()["best"]["step"] == 22
    for one in steps(23, 28):
        second.after(one, False, at(plain, one.number))
    assert there(folders) == ["mine_best", "mine_step26", "mine_step28"], "none is left over and none is doubled"
    assert live.head()["best"]["step"] == 28
