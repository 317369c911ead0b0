"""What a pass and a step cost, counted on the meta device: python benchmarks/speed/counting.py (any machine, no GPU).

Writes results/counts.json: 10¹² floating point operations of one sample, 10⁹ bytes.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), *(str(HERE.parents[1] / name) for name in ("scripts", "tests"))]

import pack  # noqa: E402

pack.load_pack()

import torch  # noqa: E402
from comfy.ldm.modules import attention  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from purecc_pack.purecc.host.models.differentiable import differentiable_operators  # noqa: E402
from purecc_pack.purecc.network.checkpointing import KeptInputs  # noqa: E402
from purecc_pack.purecc.network.lora import LoraBranches, LoraSpec  # noqa: E402
from speed.kind import Kind  # noqa: E402
from speed.sd3 import MEDIUM  # noqa: E402
from speed.stages import STAGES, Stage  # noqa: E402


@functools.cache
def pass_flops(kind: Kind, pixels: int, gradient: bool, again: bool = False, layers: str = "attention") -> int:
    """Count the floating point operations of one sample through the transformer with a LoRA of rank 4.

    Args:
        kind: of the transformer.
        pixels: side of the image.
        gradient: whether there is a backward pass, to the LoRA alone.
        again: whether every block is checkpointed.
        layers: that the LoRA adapts.
    """
    network = _network(kind, layers)
    counter = FlopCounterMode(display=False)
    with counter, differentiable_operators(), torch.set_grad_enabled(gradient):
        out = _call(network, kind, pixels, 1, attention.attention_pytorch, again)
        if gradient:
            out.sum().backward()
    return counter.get_total_flops()


def step_flops(stage: Stage, kind: Kind, pixels: int, batch: int) -> int:
    """Count the operations of a step's passes through the transformer, nothing computed twice.

    What a trained token adds is not counted: passes through two CLIPs and the gradients of the modulations.
    """
    passes = stage.recipe.shares.items()
    return round(batch * sum(share * pass_flops(kind, pixels, p.grad, layers=stage.layers) for p, share in passes))


class _Operations(TorchDispatchMode):
    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += not (function.is_view or function is torch.ops.aten._unsafe_view.default)
        return function(*args, **(kwargs or {}))


def operations(kind: Kind, pixels: int, samples: int, gradient: bool, lora: bool = True) -> int:
    """Count the operations that a pass begins, views aside: about the kernels that a GPU is given one by one."""
    network = _network(kind, "attention" if lora else None)
    with _Operations() as counter, torch.set_grad_enabled(gradient):
        out = _call(network, kind, pixels, samples, attention.attention_pytorch)
        if gradient:
            out.sum().backward()
    return counter.count


def saved_bytes(kind: Kind, pixels: int, samples: int, again: bool = False) -> int:
    """Count the bytes that a pass keeps for its backward pass, without weights, by an attention that keeps no map."""
    network = _network(kind, "attention")
    weights = {w.untyped_storage()._cdata for w in (*network.parameters(), *network.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(saved: Tensor) -> Tensor:
        storage = saved.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage  # held, so that no other storage gets its address
        return saved

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
        out = _call(network, kind, pixels, samples, _flash, again)
    del out
    return sum(storage.nbytes() for storage in kept.values())


def weight_bytes(kind: Kind) -> tuple[int, int]:
    """Count the bytes of the transformer, and those of its position embeddings."""
    network = kind.network()
    return sum(w.nbytes for w in network.state_dict().values()), network.pos_embed.nbytes


@functools.cache
def _network(kind: Kind, layers: str | None) -> Any:
    """Return the transformer, with a LoRA that is on for good."""
    network = kind.network()
    if kind.family.in_place:
        KeptInputs([network])
    if layers is not None:
        branches = LoraBranches(network, kind.family.layers)
        branches.add("counted", LoraSpec(targets=layers), seed=0)
        network.on = ExitStack()
        network.on.enter_context(branches.use("counted"))
    return network


def _call(network, kind: Kind, pixels: int, samples: int, attend: Callable, again: bool = False) -> Tensor:
    options = {"optimized_attention_override": lambda _, *given, **named: attend(*given, **named)}
    network.use_checkpoint = again
    return network(**kind.inputs(samples, pixels), transformer_options=options)


def _flash(q: Tensor, k: Tensor, v: Tensor, heads: int, **_) -> Tensor:
    """Attend as a GPU does, whose attention keeps no map."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) if x.ndim == 3 else x.transpose(1, 2) for x in (q, k, v))
    return torch.ops.aten._scaled_dot_product_flash_attention(q, k, v)[0].transpose(1, 2).flatten(2)


def main() -> None:
    """Count everything at the shapes of SD3.5 Medium."""
    first, batch = MEDIUM.pixels[0], 2
    found = {
        "size": MEDIUM.name,
        "dtype": str(MEDIUM.dtype).removeprefix("torch."),
        "text rows": MEDIUM.text_rows,
        "weights": weight_bytes(MEDIUM)[0] / 1e9,
        "position embeddings among them": weight_bytes(MEDIUM)[1] / 1e9,
        "batch": batch,
        "operations begun": {
            "a pass of the base without gradient": operations(MEDIUM, first, batch, False, lora=False),
            "a pass of a branch without gradient": operations(MEDIUM, first, batch, False),
            "a pass forward and backward": operations(MEDIUM, first, batch, True),
        },
        "pixels": {str(pixels): _at(pixels, batch) for pixels in MEDIUM.pixels},
    }
    text = json.dumps(found, indent=1, ensure_ascii=False)
    (HERE / "results" / "counts.json").write_text(text + "\n", encoding="utf-8")
    print(text)


def _at(pixels: int, batch: int) -> dict[str, object]:
    checkpointed, both = "every block checkpointed", "saved for both, v_original's too"
    return {
        "image rows": (pixels // 16) ** 2,
        "forward": pass_flops(MEDIUM, pixels, gradient=False) / 1e12,
        "forward and backward": pass_flops(MEDIUM, pixels, gradient=True) / 1e12,
        f"forward and backward, {checkpointed}": pass_flops(MEDIUM, pixels, True, again=True) / 1e12,
        "step": {name: step_flops(stage, MEDIUM, pixels, batch) / 1e12 for name, stage in STAGES.items()},
        "saved for a gradient pass": saved_bytes(MEDIUM, pixels, batch) / 1e9,
        f"saved for a gradient pass, {checkpointed}": saved_bytes(MEDIUM, pixels, batch, again=True) / 1e9,
        both: saved_bytes(MEDIUM, pixels, 2 * batch) / 1e9,
        f"saved for both, {checkpointed}": saved_bytes(MEDIUM, pixels, 2 * batch, again=True) / 1e9,
    }


if __name__ == "__main__":
    main()
