"""Adapters go to the disk and back unchanged, wholly or not at all, and nothing foreign is taken for one."""

# SPDX-License-Identifier: GPL-3.0-or-later

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from purecc_pack.purecc import files
from purecc_pack.purecc.files import Adapter, AdapterFileError

MODULE = "diffusion_model.joint_blocks.0.x_block.attn.qkv"


def make(name="rob", *, seed=0, kind="adapter", tokens=True, layers=True, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(shape, generator=generator).to(dtype)

    lora = {f"{MODULE}.lora_up.weight": draw(2, 6).T, f"{MODULE}.lora_down.weight": draw(2, 4)}
    lora[f"{MODULE}.alpha"] = torch.tensor(2.0)
    return Adapter(
        kind,
        name,
        lora,
        {"clip_l": draw(1, 8), "clip_g": draw(1, 12)} if tokens else {},
        draw(3, 5) if layers else None,
        {"modelspec.title": name, "purecc.recipe": '{"rank": 2}'},
    )


@pytest.fixture
def folders(tmp_path):
    return tmp_path / "models" / "loras", tmp_path / "models" / "embeddings"


def contents(*folders):
    return {path: path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


def assert_same(a, b):
    assert (a.kind, a.name) == (b.kind, b.name)
    assert a.metadata.items() <= b.metadata.items()
    for ours, theirs in ((a.lora, b.lora), (a.embedding, b.embedding)):
        assert ours.keys() == theirs.keys()
        for key in ours:
            assert ours[key].dtype == theirs[key].dtype and torch.equal(ours[key], theirs[key]), key


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
    with pytest.raises(FileExistsError, match=r"rob\.safetensors.*another name, or overwrite"):
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
    with pytest.raises(FileExistsError, match=f"would also find .*{other.name}"):
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
    with pytest.raises(ValueError, match="two folders"):
        files.save(make(), tmp_path, tmp_path)


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
    with pytest.raises(AdapterFileError, match=r"needs its embedding.*no rob\.safetensors"):
        files.load(lora_path, embeddings_dirs=[tmp_path / "none"])
    _, other = files.save(make(seed=2), tmp_path / "l", tmp_path / "e")
    with pytest.raises(AdapterFileError, match="saved with another adapter"):
        files.load(lora_path, other)
    with pytest.raises(AdapterFileError, match="saved with another adapter"):
        files.load(lora_path, lora_path)
    with pytest.raises(AdapterFileError, match="is the embedding of an adapter"):
        files.load(embedding_path, embedding_path)
    save_file({"clip_l": torch.ones(1, 8)}, other)
    with pytest.raises(AdapterFileError, match=r"needs the embedding that was saved with it.*not a PureCC adapter"):
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
        with pytest.raises(AdapterFileError, match="stock Load LoRA"):
            files.load(path)
    save_file({"model.weight": torch.ones(1, 2)}, path, {"format": "pt"})
    with pytest.raises(AdapterFileError, match="not a PureCC adapter"):
        files.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"purecc.format": "2"}, "format 2.*update"),
        ({"purecc.id": None}, r"lacks the metadata purecc\.id"),
        ({"purecc.kind": "thing"}, "'thing'"),
        ({"purecc.id": "0" * 64}, "needs the embedding that was saved with it"),
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
