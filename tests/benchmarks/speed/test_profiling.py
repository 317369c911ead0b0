"""Where the time of a step goes: kinds of operation, and the page."""

import pytest

pytestmark = pytest.mark.slow


def test_kinds_of_operation(comfyui):
    from speed import profiling
    from speed.profiling import Operation

    names = {
        "aten::addmm": "products of matrices",
        "aten::_scaled_dot_product_flash_attention_for_cpu_backward": "attention",
        "aten::copy_": "casts and copies",
        "aten::native_layer_norm": "norms",
        "aten::gelu_backward": "activations",
        "aten::mul": "sums, products and the like",
        "aten::view": "the rest",
    }
    assert {name: profiling.kind(name) for name in names} == names
    found = profiling.by_kind(Operation(name, 1, 2.0) for name in (*names, "aten::mm"))
    assert found["products of matrices"] == 4.0 and sum(found.values()) == 16.0


def test_the_page_has_every_operation_of_a_step(comfyui, tmp_path):
    """The operations of the second step, and no others: they take at most its time."""
    import torch
    from speed import profiling
    from speed.ours import Ours
    from speed.sd3 import SMALL
    from speed.setup import Setup

    torch.set_num_threads(1)
    page = tmp_path / "profile.md"
    profiling.main(["--small", "--stages", "plain LoRA, all blocks", "--folder", str(tmp_path), "--page", str(page)])
    text = page.read_text(encoding="utf-8")
    assert "## plain LoRA, all blocks" in text and "`aten::addmm`" in text
    ours = Ours(Setup(SMALL, torch.device("cpu"), tmp_path))
    seconds, operations = profiling.second_step(ours, "plain LoRA, all blocks", SMALL.pixels[0])
    assert 0 < sum(o.seconds for o in operations) < seconds
    assert sum(o.times for o in operations if o.name.startswith("Optimizer.step")) == 1
