"""What is counted of a pass, beside a count by hand and the kept counts."""

import json

import pytest

pytestmark = pytest.mark.slow


def test_counts(comfyui):
    """By hand, for a size whose matrices can be written down."""
    from speed import counting
    from speed.sd3 import SMALL

    h, image, text, depth = SMALL.hidden, (64 // 16) ** 2, SMALL.text_rows, SMALL.depth
    rows = image + text
    linear = 0
    for block in range(depth):
        second, last = block < SMALL.second_attention, block == depth - 1
        streams = [(image, 9 if second else 6, True), (text, 2 if last else 6, not last)]
        for n, modulations, whole in streams:
            linear += modulations * h * h + n * (3 * h * h + whole * (h * h + 8 * h * h))
        linear += second * image * 4 * h * h
        attention = rows * rows * h * 2 + second * image * image * h * 2
        linear += attention
    embedders = image * 16 * 4 * h + text * 4096 * h + 256 * h + h * h + SMALL.pooled * h + h * h
    final = 2 * h * h + image * h * 64
    adapters = sum(
        image * (4 * 4 * h + 4 * 2 * h) + text * (4 * 4 * h + (b < depth - 1) * 4 * 2 * h) for b in range(depth)
    )
    assert counting.pass_flops(SMALL, 64, gradient=False) == 2 * (linear + embedders + final + adapters)
    both = counting.pass_flops(SMALL, 64, gradient=True)
    again = counting.pass_flops(SMALL, 64, gradient=True, again=True)
    assert both < again < both + counting.pass_flops(SMALL, 64, gradient=False)
    assert counting.saved_bytes(SMALL, 64, 2, again=True) < counting.saved_bytes(SMALL, 64, 2) / 3


def test_operations_begun(comfyui):
    """A LoRA adds the products with A and B, its scale and the sum for every layer, and here and there a copy."""
    from speed import counting
    from speed.sd3 import SMALL

    bare = counting.operations(SMALL, 64, 2, gradient=False, lora=False)
    adapted = counting.operations(SMALL, 64, 2, gradient=False)
    layers = SMALL.depth * 4 - 1  # qkv and projection of both streams; the last block's text has no projection
    assert 4 * layers <= adapted - bare < 5 * layers
    assert counting.operations(SMALL, 64, 4, gradient=False) == adapted
    assert counting.operations(SMALL, 64, 2, gradient=True) > 2 * adapted


def test_the_kept_counts(comfyui):
    """What is written of the true shapes is what the counter says."""
    from speed import counting
    from speed.sd3 import MEDIUM

    kept = json.loads((counting.HERE / "results" / "counts.json").read_text(encoding="utf-8"))
    at_512 = kept["pixels"]["512"]
    assert at_512["forward"] == counting.pass_flops(MEDIUM, 512, gradient=False) / 1e12
    assert at_512["saved for a gradient pass, every block checkpointed"] == (
        counting.saved_bytes(MEDIUM, 512, 2, again=True) / 1e9
    )
    assert at_512["saved for both, v_original's too"] == counting.saved_bytes(MEDIUM, 512, 4) / 1e9
    assert kept["weights"] == counting.weight_bytes(MEDIUM)[0] / 1e9
