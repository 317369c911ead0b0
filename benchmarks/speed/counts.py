"""Counts what SD3.5 Medium's shapes cost, on the meta device: python benchmarks/speed/counts.py (any machine, no GPU).

Writes results/counts.json. Operations are 10¹² floating point operations of one sample, bytes are 10⁹.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "scripts")]

if "purecc_pack" not in sys.modules:
    import pack

    pack.load_pack()

from speed import counting, stages  # noqa: E402
from speed.sizes import MEDIUM, Size  # noqa: E402


def count(size: Size, batch: int = 2) -> dict[str, object]:
    """Every count of a size; steps at a batch."""
    whole, positions = counting.weight_bytes(size)
    out: dict[str, object] = {
        "size": size.name,
        "dtype": str(size.dtype).removeprefix("torch."),
        "text rows": size.text_rows,
        "weights": whole / 1e9,
        "position embeddings among them": positions / 1e9,
        "batch": batch,
        "operations begun": {
            "a pass of the base without gradient": counting.operations(size, size.pixels[0], batch, False, lora=False),
            "a pass of a branch without gradient": counting.operations(size, size.pixels[0], batch, False),
            "a pass forward and backward": counting.operations(size, size.pixels[0], batch, True),
        },
        "pixels": {},
    }
    for pixels in size.pixels:
        both = [counting.pass_flops(size, pixels, gradient=True, checkpointing=c) / 1e12 for c in (False, True)]
        kept = [
            [counting.saved_bytes(size, pixels, n, checkpointing=c) / 1e9 for c in (False, True)]
            for n in (batch, 2 * batch)
        ]
        steps = {n: counting.step_flops(s, size, pixels, batch) / 1e12 for n, s in stages.STAGES.items()}
        out["pixels"][str(pixels)] = {
            "image rows": (pixels // 16) ** 2,
            "forward": counting.pass_flops(size, pixels, gradient=False) / 1e12,
            "forward and backward": both[0],
            "forward and backward, every block checkpointed": both[1],
            "step": steps,
            "saved for a gradient pass": kept[0][0],
            "saved for a gradient pass, every block checkpointed": kept[0][1],
            "saved for both, v_original's too": kept[1][0],
            "saved for both, every block checkpointed": kept[1][1],
        }
    return out


if __name__ == "__main__":
    text = json.dumps(count(MEDIUM), indent=1, ensure_ascii=False, default=float)
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / "counts.json").write_text(text + "\n", encoding="utf-8")
    print(text)
