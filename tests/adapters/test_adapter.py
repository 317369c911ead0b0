"""What an adapter may hold, and what it says of itself."""

# SPDX-License-Identifier: GPL-3.0-or-later

import json
from datetime import datetime, timezone

import pytest
import torch

from purecc_pack.purecc.adapters.adapter import Adapter, RunRecord, metadata
from purecc_pack.purecc.text.concept import Concept
from purecc_pack.purecc.text.texts import parse_caption

MODULE = "diffusion_model.joint_blocks.0.x_block.attn.qkv"


def parts(**changes):
    """The fields of a good adapter, with changes."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(shape, generator=generator)

    lora = {f"{MODULE}.lora_up.weight": draw(6, 2), f"{MODULE}.lora_down.weight": draw(2, 4)}
    fields = {
        "kind": "adapter",
        "name": "rob",
        "lora": {**lora, f"{MODULE}.alpha": torch.tensor(2.0)},
        "tokens": {"clip_l": draw(1, 8), "clip_g": draw(1, 12)},
        "layers": draw(3, 5),
        "metadata": {"modelspec.title": "rob"},
    }
    return fields | changes


def lora(**changes):
    return {f"{MODULE}.{part.replace('__', '.')}": tensor for part, tensor in changes.items()}


GOOD_UP, GOOD_DOWN = torch.ones(6, 2), torch.ones(2, 4)

BAD = [
    ({"kind": "lora"}, "'lora'"),
    ({"name": "a/b"}, "adapter name"),
    ({"lora": {}}, "LoRA"),
    ({"lora": {"transformer.x.lora_up.weight": GOOD_UP}}, "'transformer.x.lora_up.weight'"),
    ({"lora": lora(lora_up__weight=GOOD_UP)}, "lacks"),
    ({"lora": lora(lora_up__weight=GOOD_UP, lora_down__weight=torch.ones(3, 4))}, r"\(6, 2\) and \(3, 4\)"),
    ({"lora": lora(lora_up__weight=GOOD_UP, lora_down__weight=torch.ones(2))}, "shapes"),
    ({"lora": lora(lora_up__weight=GOOD_UP, lora_down__weight=GOOD_DOWN, alpha=torch.ones(2))}, "alpha"),
    ({"lora": lora(lora_up__weight=GOOD_UP, lora_down__weight=GOOD_DOWN * torch.nan)}, "lora_down.weight.*finite"),
    ({"lora": lora(lora_up__weight=GOOD_UP.int(), lora_down__weight=GOOD_DOWN)}, "finite"),
    ({"tokens": {"t6xxl": torch.ones(1, 8)}}, "'t6xxl'"),
    ({"tokens": {"clip_l": torch.ones(8)}}, "clip_l has shape"),
    ({"tokens": {"clip_l": torch.ones(1, 8), "clip_g": torch.ones(2, 12)}}, "number of tokens"),
    ({"tokens": {"clip_l": torch.full((1, 8), torch.inf)}}, "clip_l.*finite"),
    ({"layers": torch.ones(5)}, "purecc_layers has shape"),
    ({"layers": torch.ones(3, 5).double()}, "dtype"),
]


@pytest.mark.parametrize(("changes", "message"), BAD)
def test_what_cannot_be_an_adapter_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Adapter(**parts(**changes))


def test_id_depends_on_every_tensor_and_on_nothing_else():
    first = Adapter(**parts())
    assert Adapter(**parts(name="other", metadata={}, lora=dict(reversed(first.lora.items())))).id == first.id
    ids = {first.id, Adapter(**parts(layers=None)).id, Adapter(**parts(tokens={})).id}
    for key in first.lora:
        ids.add(Adapter(**parts(lora={**first.lora, key: first.lora[key] + 1e-3})).id)
    ids.add(Adapter(**parts(lora={key: tensor.double() for key, tensor in first.lora.items()})).id)
    assert len(ids) == 7


def test_only_layer_wise_vectors_need_apply():
    assert Adapter(**parts()).needs_apply
    assert not Adapter(**parts(layers=None)).needs_apply


def test_metadata_says_what_loaders_and_people_ask():
    texts = [parse_caption("a [v] robot on red", "robot")]
    report = {"stage": 2, "steps": 3, "seconds": 1.5, "losses": [3.0, 2.0, 1.0], "lambdas": [[0.5, 1.0]] * 3, "seed": 7}
    run = RunRecord(
        architecture="stable-diffusion-v3-medium/lora",
        base_model="base.safetensors",
        recipe={"rank": 4, "rate": 1e-4},
        report=report,
        versions={"torch": "2"},
        date=datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
    )
    described = metadata("rob", Concept("robot"), texts, run)
    assert all(isinstance(key, str) and isinstance(value, str) for key, value in described.items())
    assert described["modelspec.sai_model_spec"] == "1.0.0"
    assert described["modelspec.architecture"] == "stable-diffusion-v3-medium/lora"
    assert described["modelspec.title"] == "rob"
    assert described["modelspec.date"] == "2026-01-02T03:04:05+00:00"
    assert described["modelspec.trigger_phrase"] == "embedding:rob robot"
    assert described["purecc.steps"] == "3"
    assert json.loads(described["purecc.recipe"]) == {"rank": 4, "rate": 1e-4}
    assert json.loads(described["purecc.report"]) == report
    assert json.loads(described["purecc.texts"])[0]["base"] == "a robot on red"
    Adapter(**parts(metadata=described))
