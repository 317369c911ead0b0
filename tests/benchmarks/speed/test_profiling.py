"""Where the time of a step goes: kinds of operation, and the page."""

import pytest

pytestmark = pytest.mark.slow


def test_kinds_of_operation(comfyui):
    from speed import profiling
    from speed.profiling import Operation

    names = {
        "aten::addmm": "products of matrices",
        "aten::baddbmm": "attention",
        "aten::_softmax_backward_data": "attention",
        "aten::_scaled_dot_product_flash_attention_for_cpu_backward": "attention",
        "aten::copy_": "casts and copies",
        "aten::native_layer_norm": "norms",
        "aten::gelu_backward": "activations",
        "aten::mul": "sums, products and the like",
        "aten::view": "the rest",
    }
    assert {name: profiling.kind(name) for name in names} == names
    found = profiling.by_kind(Operation(name, 1, 2.0) for name in (*names, "aten::mm"))
    assert found["products of matrices"] == 4.0 and sum(found.values()) == 20.0


def test_the_page_has_every_operation_of_a_step(comfyui, tmp_path):
    """The operations of one step, and no others: they take at most its time."""
    import torch
    from speed import profiling
    from speed.sd3 import SMALL
    from speed.setup import Setup

    torch.set_num_threads(1)
    page = tmp_path / "profile.md"
    profiling.main(["--small", "--stages", "plain LoRA, all blocks", "--folder", str(tmp_path), "--page", str(page)])
    text = page.read_text(encoding="utf-8")
    assert all(f"## {title}\n" in text for title in ("TrainLoraNode, bypass", "plain LoRA, all blocks"))
    assert "`aten::addmm`" in text
    setup = Setup(SMALL, torch.device("cpu"), tmp_path)
    (ours,) = profiling.of_ours(setup, ["plain LoRA, all blocks"]).values()
    hosts = profiling.of_host(setup)
    for seconds, operations in (ours, hosts):
        assert 0 < sum(o.seconds for o in operations) < seconds
    assert sum(o.times for o in ours[1] if o.name.startswith("Optimizer.step")) == 1
    backward = [sum(o.times for o in each if o.name == "aten::gelu_backward") for _, each in (ours, hosts)]
    assert backward[0] == backward[1] > 0, "one pass of the same network, forth and back"
