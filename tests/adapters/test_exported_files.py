"""Adapters in files of another format: they load as the same adapter, without the model."""

# SPDX-License-Identifier: GPL-3.0-or-later

import json
from dataclasses import replace

import pytest
import torch
from adapter_files import MODULE, assert_same, make
from safetensors.torch import load_file, save_file

from purecc_pack.purecc.adapters import files
from purecc_pack.purecc.adapters.exchange import Place, export
from purecc_pack.purecc.adapters.files import AdapterFileError
from purecc_pack.purecc.adapters.pairs import PairStyle

PLACES = {f"transformer.to_{letter}": Place(MODULE, 2 * number, 2) for number, letter in enumerate("qkv")}
STYLE = PairStyle(".lora_B.weight", ".lora_A.weight")
TEXT = {f"lora_te1_layer.{end}": torch.ones(2, 2) for end in ("lora_up.weight", "lora_down.weight")}


@pytest.fixture
def saved(tmp_path):
    adapter = replace(make(), text_lora=TEXT)
    return adapter, *files.save(adapter, tmp_path / "l", tmp_path / "e", False, export(adapter.lora, PLACES, STYLE))


def test_the_file_has_the_other_names_and_loads_as_the_same_adapter(saved):
    adapter, lora, embedding = saved
    keys = {f"transformer.to_{letter}.lora_{m}.weight" for letter in "qkv" for m in "AB"}
    assert load_file(lora).keys() == keys | TEXT.keys()
    loaded = files.load(lora, embedding)
    assert_same(adapter, loaded)
    assert loaded.id == adapter.id and loaded.text_lora.keys() == TEXT.keys()
    assert not any(key.startswith("purecc.exchange") for key in loaded.metadata)


def test_a_text_lora_comes_back(tmp_path):
    adapter = replace(make(), text_lora=TEXT)
    loaded = files.load(*files.save(adapter, tmp_path / "l", tmp_path / "e"))
    assert loaded.id == adapter.id != make().id and loaded.text_lora.keys() == TEXT.keys()
    with pytest.raises(ValueError, match=r"'y\.alpha' is no key of a LoRA of text encoders"):
        replace(adapter, text_lora={"y.alpha": torch.tensor(1.0)})


def test_a_changed_file_is_refused(saved):
    _, lora, embedding = saved
    tensors, about = load_file(lora), files.read_metadata(lora)
    save_file({**tensors, "transformer.to_q.lora_B.weight": torch.ones(2, 2)}, lora, about)
    with pytest.raises(AdapterFileError, match="damaged or changed"):
        files.load(lora, embedding)
    note = json.loads(about["purecc.exchange"])
    for changed in ("", "[]", json.dumps({**note, "names": {}}), json.dumps({**note, "names": {"y": [1]}})):
        save_file(tensors, lora, {**about, "purecc.exchange": changed})
        with pytest.raises(AdapterFileError, match="not a usable adapter"):
            files.load(lora, embedding)
