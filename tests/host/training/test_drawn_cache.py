"""Pool and masks on the disk: taken from there, bounded, drawn again where they are damaged."""

import os
import time

import pytest
import runs
import torch


@pytest.fixture
def folder(tmp_path, monkeypatch, comfyui):
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_system_user_directory", lambda name: str(tmp_path / name))
    return tmp_path / "purecc" / "drawn"


def cache(folder, **values):
    from purecc_pack.purecc.host.training.drawn_cache import DrawnCache

    return DrawnCache(folder, **values)


def phases(quiet):
    return {name for name, _ in quiet.phases} & {"FIND_MASKS", "SAMPLE_POOL"}


def anchored(name="pure", **values):
    from purecc_pack.purecc.method.anchored import AnchoredLearning

    return runs.job(name, AnchoredLearning(), steps=1, pool_images=2, cache=True, **values)


@pytest.mark.slow
def test_a_second_run_draws_nothing_again(models, dataset, folder, monkeypatch):
    """Another concept of the same images neither; another seed draws its own pool; a damaged entry is drawn again."""
    from purecc_pack.purecc.training import companions

    monkeypatch.setattr(companions, "WIDE", 0.0)  # a model with random weights finds but one thing
    first = runs.customise(models, dataset, anchored(), one := runs.Quiet())
    second = runs.customise(models, dataset, anchored("other"), two := runs.Quiet())
    plain = runs.customise(models, dataset, runs.job(recipe=anchored().recipe, steps=1, pool_images=2))
    kept = len(list(folder.iterdir()))
    assert phases(one) == {"FIND_MASKS", "SAMPLE_POOL"} and kept >= 3 + 3 + 1, "masks, what stands beside, the pool"
    assert first.adapter.id == second.adapter.id == plain.adapter.id
    assert [values["number"] for name, values in two.phases if name == "FIND_MASKS"] == [1, 2, 3], "it is told of each"
    assert "SAMPLE_POOL" not in phases(two)

    runs.customise(models, dataset, anchored(seed=1), quiet := runs.Quiet())
    assert "SAMPLE_POOL" in phases(quiet) and len(list(folder.iterdir())) == kept + 1

    for path in folder.iterdir():
        blob = bytearray(path.read_bytes())
        blob[-1] ^= 1
        path.write_bytes(blob)
    third = runs.customise(models, dataset, anchored(), quiet := runs.Quiet())
    assert "SAMPLE_POOL" in phases(quiet) and third.adapter.id == first.adapter.id


def test_entries_are_thinned_by_use_and_size(tmp_path, comfyui):
    tensors = {"x": torch.zeros(1000)}
    small = cache(tmp_path, most_bytes=10_000)
    for name in ("one", "two"):
        small.put(name, tensors)
        time.sleep(0.02)
    assert small.get("one") is not None, "which makes it the later one"
    time.sleep(0.02)
    small.put("three", tensors)
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["one", "three"]
    old = time.time() - 100 * 24 * 3600
    os.utime(tmp_path / "one.safetensors", (old, old))
    small.put("four", tensors)
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["four", "three"]
    small.put("large", {"x": torch.zeros(10_000)})
    assert small.get("large") is None and small.get("four") is not None


def test_a_disk_that_refuses_ends_nothing(tmp_path, comfyui):
    file = tmp_path / "file"
    file.write_text("no folder")
    cache(file).put("one", {"x": torch.zeros(1)})
    assert cache(file).get("one") is None
