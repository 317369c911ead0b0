"""Adapters that are damaged, partial or applied with odd values, and foreign files beside them."""

import json
import os
import shutil
from dataclasses import replace

import pytest
import runs
import torch
from adapter_files import MODULE, make
from safetensors.torch import save_file

from purecc_pack.purecc.adapters import files

OTHER = "diffusion_model.joint_blocks.1.x_block.attn.qkv"


def header(content, rest=b""):
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return len(raw).to_bytes(8, "little") + raw + rest


OURS = {"purecc.format": "1", "purecc.id": "x", "purecc.kind": "adapter", "purecc.name": "x", "purecc.part": "lora"}
STRANGE = {
    "no metadata": header({"__metadata__": None}),
    "a list": header({"__metadata__": []}),
    "a number": header({"__metadata__": 3}),
    "numbers": header({"__metadata__": {**OURS, "purecc.name": 3, "purecc.has_embedding": "true"}}),
    "lists": header({"__metadata__": {"purecc.format": ["1"]}}),
    "null": header(b"null"),
    "deep": header(b"[" * 100_000),
    "deep object": header(b'{"a":' * 100_000),
    "constants": header({"x": {"data_offsets": [0, float("nan")]}}),
    "text": header({"x": {"data_offsets": "ab"}}),
    "empty": b"",
    "half": header({"__metadata__": OURS})[:20],
    "long": (2**63).to_bytes(8, "little") + b"{}",
    "bytes": header(b"\xff\xfe\0" * 50),
}


@pytest.fixture
def folders(host_folders):
    from purecc_pack.purecc.host.models import adapter_folders

    adapter_folders._recover_once.cache_clear()
    return host_folders / "loras", host_folders / "embeddings"


def test_any_file_whatever_costs_no_node_and_no_other_adapter(folders):
    from purecc_pack.nodes import NODES, LoadAdapter
    from purecc_pack.purecc.host.models import adapter_folders

    files.save(make(), *folders)
    for name, content in STRANGE.items():
        for folder in folders:
            (folder / f"{name}.safetensors").write_bytes(content)
            (folder / "sub").mkdir(exist_ok=True)
            (folder / "sub" / "rob.safetensors").write_bytes(content)
        assert adapter_folders.adapter_names() == ["rob.safetensors"], name
        assert all(node.GET_SCHEMA() is not None and node.define_schema() for node in NODES)
        assert runs.execute(LoadAdapter, adapter_name="rob.safetensors").args[0].id == make().id
        with pytest.raises(files.AdapterFileError, match=name):
            files.load(folders[0] / f"{name}.safetensors")
    os.mkfifo(folders[0] / "pipe.safetensors")
    (folders[0] / "folder.safetensors").mkdir()
    (folders[0] / "gone.safetensors").symlink_to("nowhere")
    (folders[1] / "loop").symlink_to(folders[1])
    assert adapter_folders.adapter_names() == ["rob.safetensors"]
    assert adapter_folders.load_adapter("rob.safetensors").id == make().id


def test_the_next_start_removes_what_a_killed_save_left(folders):
    from purecc_pack.purecc.host.models import adapter_folders

    files.save(make(), *folders)
    for folder in folders:
        (folder / f".rob.safetensors.{os.getpid()}-{'0' * 32}.new").write_bytes(b"half")
    assert adapter_folders.adapter_names() == ["rob.safetensors"]
    assert [path.name for folder in folders for path in folder.iterdir()] == ["rob.safetensors"] * 2


def more(up=2, alpha=True):
    lora = {f"{OTHER}.lora_up.weight": torch.ones(6, up), f"{OTHER}.lora_down.weight": torch.ones(up, 4)}
    return lora | ({f"{OTHER}.alpha": torch.tensor(2.0)} if alpha else {})


@pytest.mark.parametrize(
    ("change", "told"),
    [(lambda: more(4), [f"2 in {MODULE}", f"4 in {OTHER}"]), (lambda: more(alpha=False), [OTHER, "alpha"])],
)
def test_extractors_of_mixed_ranks_and_without_alpha_are_refused_on_load_in_words(tmp_path, change, told):
    """An adapter may have both: Apply Adapter and the stock loaders scale each module by itself."""
    adapter = make(tokens=False, layers=False, kind="extractor")
    path, _ = files.save(adapter, tmp_path / "l", tmp_path / "e")
    lora = {**adapter.lora, **change()}
    about = {**files.read_metadata(path), "purecc.id": files.fingerprint(lora)}
    save_file({key: tensor.contiguous() for key, tensor in lora.items()}, path, about)
    with pytest.raises(files.AdapterFileError) as error:
        files.load(path)
    assert all(part in str(error.value) for part in [path.name, *told])
    save_file({k: t.contiguous() for k, t in lora.items()}, path, {**about, "purecc.kind": "adapter"})
    assert files.load(path).lora.keys() == lora.keys()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["strength", "strength_3"])
def test_a_strength_that_is_no_number_is_refused(models, token_only, name, value):
    from purecc_pack.nodes import ApplyAdapter

    values = {"adapter": token_only, "adapter_3": token_only, name: value}
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        runs.execute(ApplyAdapter, model=models.model, clip=models.clip, **values)


def test_an_adapter_that_lacks_the_token_of_an_encoder_is_refused(models, token_only):
    from purecc_pack.purecc.host.models.apply import apply

    partial = replace(token_only, tokens={"clip_g": torch.zeros(1, 1280)})
    with pytest.raises(ValueError, match=r"no token for clip_l .*only for clip_g"):
        apply(models.model, models.clip, partial)


@pytest.mark.parametrize("gone", ["file", "folder", "temp", "replaced by a file"])
def test_the_concept_is_there_after_the_temp_folder_was_emptied(models, token_only, gone):
    from pathlib import Path

    import folder_paths

    from purecc_pack.purecc.host.models.apply import apply

    temp = Path(folder_paths.get_temp_directory())
    _, clip = apply(models.model, models.clip, token_only)
    text = f"a embedding:{token_only.name} robot"

    def encode():
        with torch.inference_mode():
            return clip.encode_from_tokens(clip.tokenize(text))

    expected = encode()
    with torch.inference_mode():
        assert not torch.equal(expected, models.clip.encode_from_tokens(models.clip.tokenize(text)))
    if gone == "file":
        for path in (temp / "purecc").rglob("*.safetensors"):
            path.unlink()
    elif gone == "folder":
        shutil.rmtree(temp / "purecc")
    else:
        shutil.rmtree(temp)
    if gone == "replaced by a file":
        temp.write_text("in the way")
        with pytest.raises(OSError, match="temp"):
            encode()
        temp.unlink()
    assert torch.equal(encode(), expected)
