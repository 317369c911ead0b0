"""Nothing is loaded that is foreign, damaged or apart from its other half."""

# SPDX-License-Identifier: GPL-3.0-or-later

import pickle

import pytest
import torch
from adapter_files import MODULE, assert_same, make
from safetensors.torch import load_file, save_file

from purecc_pack.purecc.adapters import files
from purecc_pack.purecc.adapters.files import AdapterFileError


@pytest.fixture
def folders(tmp_path):
    return tmp_path / "models" / "loras", tmp_path / "models" / "embeddings"


def test_the_embedding_is_found_in_subfolders_and_under_a_new_name(folders):
    lora_path, embedding_path = files.save(make(), *folders)
    lora_path = lora_path.rename(lora_path.with_name("renamed [1].safetensors"))
    sub = folders[1] / "sub"
    sub.mkdir()
    embedding_path = embedding_path.rename(sub / "rob.safetensors")
    assert_same(make(), files.load(lora_path, embeddings_dirs=[folders[0] / "none", folders[1]]))
    lora_path = lora_path.rename(lora_path.with_name("rob2.safetensors"))
    embedding_path.rename(sub / "rob2.safetensors")
    found = files.load(lora_path, embeddings_dirs=[folders[1]])
    assert found.name == "rob2", "prompts find the embedding by its file name"
    assert found.metadata["purecc.name"] == "rob"


def test_missing_or_foreign_partner_is_named(folders, tmp_path):
    lora_path, embedding_path = files.save(make(seed=1), *folders)
    with pytest.raises(AdapterFileError, match=r"loras.*rob\.safetensors.* rob\.safetensors"):
        files.load(lora_path, embeddings_dirs=[tmp_path / "none"])
    _, other = files.save(make(seed=2), tmp_path / "l", tmp_path / "e")
    with pytest.raises(AdapterFileError, match="saved with another adapter"):
        files.load(lora_path, other)
    with pytest.raises(AdapterFileError, match="saved with another adapter"):
        files.load(lora_path, lora_path)
    with pytest.raises(AdapterFileError, match="embeddings"):
        files.load(embedding_path, embedding_path)
    save_file({"clip_l": torch.ones(1, 8)}, other)
    with pytest.raises(AdapterFileError, match=r"loras.*not a PureCC adapter"):
        files.load(lora_path, embeddings_dirs=[other.parent])
    # Among several of that name the right one is taken.
    assert_same(make(seed=1), files.load(lora_path, embeddings_dirs=[other.parent, folders[1]]))


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("keep", [0, 5, 60, -300, -1])
def test_truncated_files_are_refused(folders, which, keep):
    paths = files.save(make(), *folders)
    paths[which].write_bytes(paths[which].read_bytes()[:keep])
    with pytest.raises(AdapterFileError, match=r"rob\.safetensors.*(?:truncated|not a safetensors)"):
        files.load(*paths)


@pytest.mark.parametrize("which", [0, 1])
def test_a_flipped_bit_is_noticed(folders, which):
    paths = files.save(make(), *folders)
    data = bytearray(paths[which].read_bytes())
    data[-3] ^= 1
    paths[which].write_bytes(data)
    with pytest.raises(AdapterFileError, match="damaged"):
        files.load(*paths)


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("the pickle was run",)


@pytest.mark.parametrize("ending", [".pt", ".ckpt", ".bin", ".pth", ".safetensors"])
def test_pickles_are_refused_and_never_run(tmp_path, ending):
    path = tmp_path / f"rob{ending}"
    path.write_bytes(pickle.dumps({"x": Bomb()}))
    with pytest.raises(AdapterFileError, match="safetensors"):
        files.load(path)
    torch.save({"x": torch.ones(2)}, path)
    with pytest.raises(AdapterFileError, match="safetensors"):
        files.load(path)


def test_foreign_files_get_the_right_advice(tmp_path):
    path = tmp_path / "other.safetensors"
    with pytest.raises(AdapterFileError, match=r"other\.safetensors does not exist"):
        files.load(path)
    for key in ("lora_unet_x.lora_down.weight", "transformer.x.lora_A.weight", "diffusion_model.x.lora_up.weight"):
        save_file({key: torch.ones(1, 2)}, path)
        assert files.is_foreign_lora(path)
        with pytest.raises(AdapterFileError, match="stock Load LoRA"):
            files.load(path)
    save_file({"model.weight": torch.ones(1, 2)}, path, {"format": "pt"})
    assert not files.is_foreign_lora(path)
    with pytest.raises(AdapterFileError, match="not a PureCC adapter"):
        files.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"purecc.format": "2"}, "format 2.*format 1"),
        ({"purecc.id": None}, r"purecc\.id"),
        ({"purecc.kind": "thing"}, "'thing'"),
        ({"purecc.id": "0" * 64}, r"loras.*embeddings"),
    ],
)
def test_metadata_that_does_not_fit_is_refused(folders, change, message):
    lora_path, embedding_path = files.save(make(), *folders)
    about = {**files.read_metadata(lora_path), **change}
    save_file(load_file(lora_path), lora_path, {key: value for key, value in about.items() if value is not None})
    with pytest.raises(AdapterFileError, match=message):
        files.load(lora_path, embedding_path)


@pytest.mark.parametrize("header", [b"[]", b"{", b'{"a": 1}', b'{"a": {"data_offsets": []}}', b"\xff\xfe"])
def test_broken_headers_are_refused(tmp_path, header):
    path = tmp_path / "rob.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(AdapterFileError, match="broken header"):
        files.load(path)


def test_values_that_are_not_finite_are_refused_on_reading(folders):
    adapter = make(tokens=False, layers=False)
    path, _ = files.save(adapter, *folders)
    lora = {**adapter.lora, f"{MODULE}.alpha": torch.tensor(torch.inf)}
    about = {**files.read_metadata(path), "purecc.id": files.fingerprint(lora)}
    save_file({key: tensor.contiguous() for key, tensor in lora.items()}, path, about)
    with pytest.raises(AdapterFileError, match=r"alpha.*finite"):
        files.load(path)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes")])
def test_too_little_memory_is_not_called_a_damaged_file(folders, monkeypatch, error):
    """And neither a save nor a load gives the words of a library."""

    def fail(*args):
        raise error

    paths = files.save(make(), *folders)
    monkeypatch.setattr("safetensors.torch.load", fail)
    with pytest.raises(MemoryError, match=r"^The computer ran out of memory while reading .*rob\.safetensors\. Close"):
        files.load(*paths)
    monkeypatch.setattr("safetensors.torch.save", fail)
    with pytest.raises(MemoryError, match=r"^The computer ran out of memory while saving\. Close other programs"):
        files.save(make(seed=2), *folders, overwrite=True)
    monkeypatch.undo()
    assert_same(make(), files.load(*paths))
