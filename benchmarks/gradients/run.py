"""Measure the error of LoRA gradients under gradient checkpointing: of this pack and of the host's own TrainLoraNode.

    COMFYUI_PATH=... python benchmarks/gradients/run.py          # rows to results/gradients.jsonl, table into README.md

Every model is a tiny genuine one of `tests/genuine`: the host's own class with random weights, in float32 on the
CPU. A trainer's reference is the same step without checkpointing, every tensor that autograd saves copied as it is
saved. The error is ‖g − g_reference‖ / ‖g_reference‖ over the LoRA of all layers that this trainer adapts.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

import pack  # noqa: E402

pack.load_pack()

import comfy.cli_args  # noqa: E402
import torch  # noqa: E402
from torch import Tensor  # noqa: E402

comfy.cli_args.args.cpu = True

import comfy.utils  # noqa: E402
import genuine  # noqa: E402
from comfy.model_patcher import ModelPatcher  # noqa: E402
from comfy_extras import nodes_train  # noqa: E402

from purecc_pack.purecc.host.models.copies import trainable_world  # noqa: E402
from purecc_pack.purecc.host.models.field import HostField  # noqa: E402
from purecc_pack.purecc.network.field import Conditioning  # noqa: E402
from purecc_pack.purecc.network.lora import LoraBranches, LoraSpec  # noqa: E402

RESULTS = HERE / "results" / "gradients.jsonl"
README = HERE / "README.md"
BEGIN, END = "<!-- table -->", "<!-- end -->"
FLUX_KINDS = ("Flux.1-dev", "Flux.2-klein", "Chroma", "HunyuanImage2.1")
OTHERS = ("SD3.5-medium", "Qwen-Image", "SDXL")
BATCH, RANK, SEED = 2, 2, 5


def fill(weights: Sequence[Tensor]) -> None:
    """Give LoRA matrices random values, so that both of a pair have a gradient."""
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for weight in weights:
            if weight.ndim == 2:
                weight.copy_(0.3 * torch.randn(weight.shape, generator=generator) / weight.shape[1] ** 0.5)


def copying() -> Any:
    """Return the context in which autograd copies what it saves."""
    return torch.autograd.graph.saved_tensors_hooks(lambda x: x.clone(), lambda x: x)


def error(found: Tensor, reference: Tensor) -> float:
    """Return ‖found − reference‖ / ‖reference‖."""
    return float((found - reference).double().norm() / reference.double().norm())


class Ours:
    """A step of this pack: v of a batch against a fixed direction, gradients to a LoRA on all layers of the blocks."""

    def __init__(self, name: str):
        recipe, base = genuine.build(name)
        self.field = HostField(genuine.patcher_of(base))
        self.branches = LoraBranches(self.field.module)
        self.branches.add("learner", LoraSpec(RANK, float(RANK), self.field.family.layers("all blocks")), seed=0)
        self.weights = self.branches.parameters("learner")
        fill(self.weights)
        generator = torch.Generator().manual_seed(SEED)
        fields = dict(recipe["cond"])
        context = fields.pop("cross_attn").repeat(BATCH, 1, 1)
        self.y = Conditioning(context, torch.zeros(context.shape[:2], dtype=torch.bool), (fields,) * BATCH)
        shape = recipe["latent"][0], *recipe["latent"][-2:]
        self.x_t, self.probe = (torch.randn(BATCH, *shape, generator=generator) for _ in range(2))
        self.t = torch.tensor([0.3, 0.7])

    def loss(self) -> Tensor:
        """Return ⟨v, probe⟩."""
        return (self.field.velocity(self.x_t, self.t, self.y) * self.probe).double().sum()

    def gradient(self, checkpointed: bool) -> Tensor:
        """Return the gradients of all matrices in one vector; see `copying` for the reference."""
        self.field.checkpointing.first(len(self.field.text_blocks) if checkpointed else 0)
        for weight in self.weights:
            weight.grad = None
        with self.branches.use("learner"):
            self.loss().backward()
        grads = [torch.zeros_like(w) if w.grad is None else w.grad for w in self.weights]
        return torch.cat([g.flatten() for g in grads])

    def differences(self, gradient: Tensor) -> float:
        """Return the error of a gradient's length against the central difference of the loss along it."""
        step = 1e-3 / float(gradient.norm())
        parts = gradient.split([w.numel() for w in self.weights])

        @torch.no_grad()
        def moved(by: float) -> float:
            for weight, part in zip(self.weights, parts, strict=True):
                weight.add_(part.view_as(weight), alpha=by)
            with self.branches.use("learner"):
                return float(self.loss())

        slope = (moved(step) - moved(-2 * step)) / (2 * step)
        moved(step)
        return abs(slope / float(gradient.double().square().sum()) - 1)


def ours(name: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of this pack."""
    with trainable_world():
        step = Ours(name)
        step.field.checkpointing.first(0)
        with copying():
            reference = step.gradient(checkpointed=False)
        row = {"model": name, "trainer": "ours", "differences": step.differences(reference)}
        for checkpointed in (False, True):
            yield (
                row
                | {"checkpointing": "every block" if checkpointed else "off"}
                | {"error": error(step.gradient(checkpointed), reference)}
            )


def build(name: str, **_: Any) -> ModelPatcher:
    """Return the model anew, as the host asks a loader."""
    made = genuine.patcher_of(genuine.build(name)[1])
    made.cached_patcher_init = (build, (name,))
    return made


def host_gradient(name: str, depth: int | None, copied: bool = False) -> Tensor:
    """Return the gradients of one step of TrainLoraNode in one vector.

    Args:
        name: of the model.
        depth: of its gradient checkpointing; None: off.
        copied: whether every saved tensor is copied.
    """
    recipe = genuine.FAMILIES[name]()
    fields = {k: v for k, v in recipe["cond"].items() if k != "cross_attn"}
    positive = [[[recipe["cond"]["cross_attn"], dict(fields)]]] * BATCH
    latents = torch.randn(BATCH, *recipe["latent"], generator=torch.Generator().manual_seed(SEED))
    values = {"model": build(name), "batch_size": BATCH, "grad_accumulation_steps": 1, "steps": 1, "rank": RANK}
    values |= {"learning_rate": 1e-4, "optimizer": "SGD", "loss_function": "MSE", "seed": SEED, "algorithm": "LoRA"}
    values |= {"training_dtype": "fp32", "lora_dtype": "fp32", "quantized_backward": False, "offloading": False}
    values |= {"gradient_checkpointing": depth is not None, "checkpoint_depth": depth or 1, "existing_lora": "[None]"}
    values |= {"bucket_mode": False, "bypass_mode": False}
    found: list[Tensor] = []
    make = nodes_train._create_optimizer

    def watched(kind: str, parameters: Any, rate: float) -> torch.optim.Optimizer:
        weights = list(parameters)
        fill(weights)
        optimiser = make(kind, weights, rate)
        lora = [w for w in weights if w.ndim == 2]

        def keep(*_: Any) -> None:
            found.extend(torch.zeros_like(w).flatten() if w.grad is None else w.grad.flatten().clone() for w in lora)

        optimiser.register_step_pre_hook(keep)
        return optimiser

    comfy.utils.set_progress_bar_enabled(False)
    torch.manual_seed(SEED)
    with mock.patch.object(nodes_train, "_create_optimizer", watched), copying() if copied else nullcontext():
        nodes_train.TrainLoraNode.execute(
            latents=[{"samples": latents}], positive=positive, **{k: [v] for k, v in values.items()}
        )
    return torch.cat(found)


def host(name: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of TrainLoraNode; one that raises says why."""
    reference = host_gradient(name, None, copied=True)
    for named, depth in (("off", None), ("depth 1, the default", 1), ("depth 2", 2)):
        row = {"model": name, "trainer": "TrainLoraNode", "checkpointing": named}
        try:
            yield row | {"error": error(host_gradient(name, depth), reference)}
        except RuntimeError as failure:
            yield row | {"error": None, "note": str(failure).splitlines()[0][:100]}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows as a table, one line a model."""
    columns = [("ours", "off"), ("ours", "every block")]
    columns += [("TrainLoraNode", c) for c in ("off", "depth 1, the default", "depth 2")]
    found = {(r["model"], r["trainer"], r["checkpointing"]): r for r in rows}
    heads = ["model", *(f"{trainer}, {c}" for trainer, c in columns), "reference beside finite differences"]
    out = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name in dict.fromkeys(r["model"] for r in rows):
        cells = [_cell(found[name, trainer, c]["error"]) for trainer, c in columns]
        out.append(f"| {name} | {' | '.join(cells)} | {_cell(found[name, 'ours', 'off']['differences'])} |")
    return "\n".join(out)


def _cell(value: float | None) -> str:
    if value is None:
        return "fails"
    if value >= 1e-4:
        return f"{100 * value:.0f} %" if value > 0.1 else f"{100 * value:.2g} %"
    return f"{value:.0e}" if value else "0"


def main(given: Sequence[str] | None = None) -> None:
    """Measure, and write rows and table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=[*FLUX_KINDS, *OTHERS], help="names of tests/genuine")
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args(given)
    torch.set_num_threads(1)
    rows = []
    for name in asked.models:
        for row in (*ours(name), *host(name)):
            print(json.dumps(row), flush=True)
            rows.append(row)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    if asked.out == RESULTS:
        text = README.read_text(encoding="utf-8")
        before, after = text.split(BEGIN)[0], text.split(END)[1]
        README.write_text(f"{before}{BEGIN}\n{table(rows)}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
