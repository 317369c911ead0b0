"""LoRAs in the names of other programs: stock ComfyUI reads the same change, and they come back bit for bit."""

# SPDX-License-Identifier: GPL-3.0-or-later

import genuine
import pytest
import torch
from loras import assert_equal, patched, random_lora, targets_of

pytestmark = pytest.mark.slow

PEFT = {"SD3-medium", "SD3.5-medium", "SD3.5-large", "PixArt-Sigma", "PixArt-Alpha", "HunyuanDiT", "HunyuanDiT-1.0"}
NO_DIFFUSERS = {"HunyuanDiT", "HunyuanImage2.1", "Wan2.1/2.2-A14B", "Wan2.2-5B", "Cosmos-Predict2", "Anima", "OmniGen2"}
NO_DIFFUSERS |= {"HunyuanDiT-1.0", "Boogu", "JoyImage", "Ideogram4", "Lens"}
"""Models for which ComfyUI knows names of peft, and knows none of diffusers."""


def imported(tensors, patcher):
    from purecc_pack.purecc.adapters.exchange import read
    from purecc_pack.purecc.host.models.layer_names import known_places, layer_shapes

    return read(tensors, known_places(patcher), {name: rows for name, (rows, _) in layer_shapes(patcher).items()})


@pytest.mark.parametrize("name", genuine.TRAINED)
def test_every_format_says_the_same_change(comfyui, name):
    from purecc_pack.purecc.adapters.exchange import ExchangeError, restored
    from purecc_pack.purecc.host.models.layer_names import FORMATS, exported

    patcher = genuine.patcher_of(genuine.build(name)[1])
    lora = random_lora(targets_of(patcher, "attention"))
    expected, lacking = patched(patcher, lora), set()
    for layout in FORMATS:
        try:
            made = exported(lora, patcher, layout)
        except ExchangeError as error:
            assert f"no {layout} names for models of" in str(error)
            lacking.add(layout)
            continue
        found = patched(patcher, made.tensors)
        assert found.keys() == expected.keys()
        for key in expected:
            torch.testing.assert_close(found[key], expected[key], rtol=0, atol=1e-5)
        assert_equal(imported(made.tensors, patcher), lora)
        assert_equal(restored(made.tensors, made.note), lora)
    assert lacking == {key for key, on in (("peft", name not in PEFT), ("diffusers", name in NO_DIFFUSERS)) if on}
