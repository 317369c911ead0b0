"""Adapters go to the disk and back unchanged, completely or not at all."""

# SPDX-License-Identifier: GPL-3.0-or-later

import json
from pathlib import Path

import pytest
import torch
from adapter_files import assert_same, contents, make
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from purecc_pack.purecc.adapters import files
from purecc_pack.purecc.adapters.files import Adapter


@pytest.fixture
def folders(tmp_path):
    return tmp_path / "models" / "loras", tmp_path / "models" / "embeddings"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("tokens", "layers"), [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("kind", ["adapter", "extractor"])
def test_round_trip_is_bit_identical(folders, kind, tokens, layers, dtype):
    adapter = make(kind=kind, tokens=tokens, layers=layers, dtype=dtype)
    lora_path, embedding_path = files.save(adapter, *folders)
    assert lora_path == folders[0] / "rob.safetensors"
    assert embedding_path == (folders[1] / "rob.safetensors" if tokens or layers else None)
    assert set(contents(*folders)) == {lora_path, embedding_path} - {None}
    assert_same(adapter, files.load(lora_path, embedding_path))
    found = files.load(lora_path, embeddings_dirs=[folders[1]])
    assert_same(adapter, found)
    # What was read is written again as the same bytes, over the same files, without being asked to overwrite.
    before = contents(*folders)
    files.save(found, *folders)
    files.save(adapter, *folders)
    assert contents(*folders) == before


def test_files_are_plain_safetensors_with_the_same_metadata(folders):
    adapter = make()
    paths = files.save(adapter, *folders)
    about = []
    for path, tensors in zip(paths, (adapter.lora, adapter.embedding), strict=True):
        assert load_file(path).keys() == tensors.keys()
        with safe_open(path, "pt") as file:
            about.append(file.metadata())
        assert (int.from_bytes(path.read_bytes()[:8], "little") + 8) % 8 == 0
    assert {about[0].pop("purecc.part"), about[1].pop("purecc.part")} == {"lora", "embedding"}
    assert about[0] == about[1]
    assert about[0]["purecc.id"] == adapter.id
    assert about[0]["purecc.needs_apply"] == "true"
    assert files.read_metadata(paths[0]).items() >= about[0].items()


def test_only_layer_wise_vectors_make_it_say_that_it_needs_apply(folders):
    path, _ = files.save(make(layers=False), *folders)
    assert files.read_metadata(path)["purecc.needs_apply"] == "false"


def test_host_finds_the_tokens_and_gives_t5_one_to_drop(comfyui, folders):
    from comfy.sd1_clip import load_embed

    adapter = make()
    files.save(adapter, *folders)
    for key, width in (("clip_l", 8), ("clip_g", 12)):
        assert torch.equal(load_embed("rob", [str(folders[1])], width, key), adapter.tokens[key])
    assert load_embed("rob", [str(folders[1])], 4096, "t5xxl").shape == (1, 12)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("failing", ["first write", "second write", "first replace", "second replace"])
def test_a_failure_leaves_everything_as_it_was(folders, monkeypatch, failing, overwrite):
    if overwrite:
        files.save(make(seed=1), *folders)
    before = contents(*folders)

    class Cancelled(BaseException):
        """Like the host's own: no Exception."""

    which, method = failing.split()
    method, calls = {"write": "open", "replace": "replace"}[method], []
    original = getattr(Path, method)

    def fail(self, *args, **kwargs):
        if method == "replace" or args[:1] == ("wb",):
            calls.append(self)
            if len(calls) == {"first": 1, "second": 2}[which]:
                raise Cancelled
        return original(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Path, method, fail)
        with pytest.raises(Cancelled):
            files.save(make(seed=2), *folders, overwrite=overwrite)
    assert calls, "the failure was never reached"
    assert contents(*folders) == before
    files.save(make(seed=2), *folders, overwrite=overwrite)
    assert_same(make(seed=2), files.load(folders[0] / "rob.safetensors", embeddings_dirs=[folders[1]]))


def test_a_folder_that_cannot_be_made_leaves_no_lora_behind(folders):
    folders[1].parent.mkdir()
    folders[1].write_text("a file where the folder should be")
    with pytest.raises(OSError, match="embeddings"):
        files.save(make(), *folders)
    assert contents(folders[0]) == {}


def test_another_file_is_overwritten_only_on_request(folders):
    files.save(make(seed=1), *folders)
    before = contents(*folders)
    with pytest.raises(FileExistsError, match=r"rob\.safetensors"):
        files.save(make(seed=2), *folders)
    assert contents(*folders) == before
    files.save(make(seed=2), *folders, overwrite=True)
    assert_same(make(seed=2), files.load(folders[0] / "rob.safetensors", embeddings_dirs=[folders[1]]))


def test_a_foreign_embedding_of_the_same_name_stops_both_files(folders):
    folders[1].mkdir(parents=True)
    save_file({"clip_l": torch.ones(1, 8)}, folders[1] / "rob.safetensors")
    with pytest.raises(FileExistsError, match="embeddings"):
        files.save(make(), *folders)
    assert contents(folders[0]) == {}


@pytest.mark.parametrize("other", ["rob", "sub/rob.safetensors", "sub/rob.pt", "sub/deeper/rob"])
def test_an_embedding_that_prompts_could_find_instead_is_named(folders, other):
    other = folders[1] / other
    other.parent.mkdir(parents=True)
    other.write_bytes(b"x")
    with pytest.raises(FileExistsError, match=f"embedding:rob .*{other.name}"):
        files.save(make(), *folders, overwrite=True)
    files.save(make("robin"), *folders)


def test_overwriting_with_an_adapter_without_embedding_takes_the_old_embedding_away(folders):
    files.save(make(seed=1), *folders)
    files.save(make(seed=2, tokens=False, layers=False), *folders, overwrite=True)
    assert list(contents(*folders)) == [folders[0] / "rob.safetensors"]
    save_file({"clip_l": torch.ones(1, 8)}, folders[1] / "rob.safetensors")
    files.save(make(seed=3, tokens=False, layers=False), *folders, overwrite=True)
    assert len(contents(*folders)) == 2, "a foreign embedding is not ours to remove"


def test_one_folder_cannot_hold_both(tmp_path):
    with pytest.raises(ValueError, match="'rob'"):
        files.save(make(), tmp_path, tmp_path)


def test_the_same_adapter_is_the_same_bytes_in_another_process_order(folders, tmp_path):
    adapter = make()
    files.save(adapter, *folders)
    shuffled = Adapter(
        adapter.kind,
        adapter.name,
        dict(reversed(adapter.lora.items())),
        dict(reversed(adapter.tokens.items())),
        adapter.layers,
        dict(reversed(adapter.metadata.items())),
    )
    files.save(shuffled, tmp_path / "l", tmp_path / "e")
    for folder, other in zip(folders, (tmp_path / "l", tmp_path / "e"), strict=True):
        assert (folder / "rob.safetensors").read_bytes() == (other / "rob.safetensors").read_bytes()
    header = (folders[0] / "rob.safetensors").read_bytes()
    keys = list(json.loads(header[8 : 8 + int.from_bytes(header[:8], "little")])["__metadata__"])
    assert keys == sorted(keys)


def test_metadata_that_were_changed_are_refused_and_the_host_s_are_not(folders):
    from dataclasses import replace

    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    guarded = make()
    guarded = replace(guarded, metadata={**guarded.metadata, "purecc.about_id": ""})
    path = files.save(guarded, *folders)[0]
    assert files.load(path, embeddings_dirs=[folders[1]]).metadata["purecc.about_id"]

    def changed(**values):
        with safe_open(path, "pt") as opened:
            about = opened.metadata()
        save_file(load_file(path), path, about | values)
        return files.load(path, embeddings_dirs=[folders[1]])

    assert changed(**{"modelspec.title": "by a manager", "ss_output_name": "x"}).id == guarded.id
    with pytest.raises(files.AdapterFileError, match="damaged or changed"):
        changed(**{"purecc.recipe": "{}"})


def test_an_adapter_from_before_metadata_were_guarded_loads(folders):
    path = files.save(make(), *folders)[0]
    assert "purecc.about_id" not in files.read_metadata(path)
    assert_same(make(), files.load(path, embeddings_dirs=[folders[1]]))
