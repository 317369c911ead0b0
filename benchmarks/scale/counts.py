"""Count what a concept costs on full-sized models, on the meta device: python benchmarks/scale/counts.py [MODEL ...].

Writes results/counts.json: 10¹² floating point operations, 10⁹ bytes. The networks are the host's own classes in the
released shapes, without weights; the LoRA has rank 4 on attention and MLP layers, as anchored learning has it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[1] / "scripts")]

import pack  # noqa: E402

pack.load_pack()

import comfy.ops  # noqa: E402
import torch  # noqa: E402
from comfy.ldm.flux.model import Flux  # noqa: E402
from comfy.ldm.modules import attention  # noqa: E402
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel  # noqa: E402
from speed.sd3 import MEDIUM  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from purecc_pack.purecc.host.families.family import Family  # noqa: E402
from purecc_pack.purecc.host.families.flux import FLUX  # noqa: E402
from purecc_pack.purecc.host.families.sd3 import SD3  # noqa: E402
from purecc_pack.purecc.host.families.unet import SDXL  # noqa: E402
from purecc_pack.purecc.host.models.copies import trainable_world  # noqa: E402
from purecc_pack.purecc.method.anchored import AnchoredLearning  # noqa: E402
from purecc_pack.purecc.network.checkpointing import KeptInputs  # noqa: E402
from purecc_pack.purecc.network.lora import LoraBranches, LoraSpec  # noqa: E402
from purecc_pack.purecc.training.pool import STEPS  # noqa: E402

TYPE = torch.bfloat16
LAYERS = "attention and mlp"
RUN = {"steps": 400, "batch": 2, "pool": 48}
"""The node's defaults."""

UNET = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 320,
    "num_res_blocks": [2, 2, 2],
    "channel_mult": [1, 2, 4],
    "num_classes": "sequential",
    "adm_in_channels": 2816,
    "transformer_depth": [0, 0, 2, 2, 10, 10],
    "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10],
    "transformer_depth_middle": 10,
    "context_dim": 2048,
    "num_head_channels": 64,
    "use_spatial_transformer": True,
    "use_linear_in_transformer": True,
    "legacy": False,
}
DEV = {
    "in_channels": 16,
    "out_channels": 16,
    "patch_size": 2,
    "vec_in_dim": 768,
    "context_in_dim": 4096,
    "hidden_size": 3072,
    "mlp_ratio": 4.0,
    "num_heads": 24,
    "depth": 19,
    "depth_single_blocks": 38,
    "axes_dim": [16, 56, 56],
    "theta": 10000,
    "qkv_bias": True,
    "guidance_embed": True,
    "txt_ids_dims": [],
}


@dataclass(frozen=True)
class Shape:
    """A model of full size.

    Attributes:
        family: its layers.
        make: builds it on the meta device.
        channels: of its latents, which have an eighth of the image's side.
        given: further inputs of a pass, by name, with the shape of one sample.
    """

    family: Family
    make: Callable[[], nn.Module]
    channels: int
    given: dict[str, tuple[int, ...]]


def _built(kind: Any, shape: dict[str, Any]) -> nn.Module:
    made = kind(**shape, dtype=TYPE, device="meta", operations=comfy.ops.disable_weight_init)
    return made.requires_grad_(False)


SHAPES = {
    "SD3.5 Medium": Shape(SD3, MEDIUM.network, 16, {"context": (154, 4096), "y": (MEDIUM.pooled,)}),
    "SDXL": Shape(SDXL, partial(_built, UNetModel, UNET), 4, {"context": (77, 2048), "y": (2816,)}),
    "Flux.1 dev": Shape(FLUX, partial(_built, Flux, DEV), 16, {"context": (256, 4096), "y": (768,), "guidance": ()}),
}


@contextmanager
def adapted(shape: Shape) -> Iterator[tuple[nn.Module, LoraBranches]]:
    """Yield the network with a LoRA that is on."""
    network = shape.make()
    branches = LoraBranches(network, shape.family.layers)
    branches.add("counted", LoraSpec(targets=LAYERS), seed=0)
    KeptInputs(shape.family.blocks_of(network) if shape.family.in_place else ())
    with trainable_world(), branches.use("counted"):
        yield network, branches


def passed(network: nn.Module, shape: Shape, pixels: int) -> Tensor:
    """Return what the network gives for one sample."""
    side = pixels // 8
    empty = partial(torch.empty, device="meta", dtype=TYPE)
    given = {name: empty(1, *size) for name, size in shape.given.items()}
    options = {"optimized_attention_override": lambda _, *a, **k: attention.attention_pytorch(*a, **k)}
    x, t = empty(1, shape.channels, side, side), torch.empty(1, device="meta")
    return network(x, t, **given, transformer_options=options)


def flops(network: nn.Module, shape: Shape, pixels: int, gradient: bool) -> float:
    """Count the operations of a pass of one sample, in 10¹²."""
    with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(gradient):
        out = passed(network, shape, pixels)
        if gradient:
            out.sum().backward()
    return counter.get_total_flops() / 1e12


def counted(name: str, pixels: int) -> dict[str, Any]:
    """Count a concept of anchored learning at the node's defaults."""
    shape = SHAPES[name]
    with adapted(shape) as (network, branches):
        forward, both = (flops(network, shape, pixels, gradient) for gradient in (False, True))
        trained = sum(p.numel() for p in branches.parameters("counted"))
        weights = sum(w.nbytes for n, w in network.state_dict().items() if ".lora_" not in n)
    recipe = AnchoredLearning().fit("instance", LAYERS)
    step = RUN["batch"] * sum(share * (both if p.grad else forward) for p, share in recipe.shares.items())
    pool = RUN["pool"] * STEPS * 2 * forward  # two passes: with and without the prompt
    return {
        "pixels": pixels,
        "forward, a sample": forward,
        "forward and backward, a sample": both,
        "a step": step,
        "the pool": pool,
        "a concept": RUN["steps"] * step + pool,
        "weights": weights / 1e9,
        "trained numbers, millions": trained / 1e6,
        "adapter, float32": 4 * trained / 1e9,
        "state, float32": 12 * trained / 1e9,
    }


def main() -> None:
    """Count all models."""
    path = HERE / "results" / "counts.json"
    found: dict[str, Any] = {"run": RUN, "pool steps": STEPS, "layers": LAYERS, "rank": 4, "models": {}}
    if path.is_file():
        found["models"] = json.loads(path.read_text(encoding="utf-8"))["models"]
    for name in sys.argv[1:] or SHAPES:
        found["models"][name] = counted(name, 1024)
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        print(name, found["models"][name], flush=True)


if __name__ == "__main__":
    main()
