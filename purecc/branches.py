"""One base model and the named LoRA branches on it: θ1, θ2, and neither."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

PREFIX = "diffusion_model."

TARGETS = {
    "attention": r".*\.(context_block|x_block)\.attn\.(qkv|proj)",
    "attention and second attention": r".*\.(context_block|x_block)\.attn2?\.(qkv|proj)",
    "attention and mlp": r".*\.(context_block|x_block)\.(attn2?\.(qkv|proj)|mlp\.fc[12])",
    "modulation": r".*\.(context_block|x_block)\.adaLN_modulation\.1",
    "all blocks": r".*\.(context_block|x_block)\.(attn2?\.(qkv|proj)|mlp\.fc[12]|adaLN_modulation\.1)",
}
"""Which linear layers a LoRA adapts, by name, as patterns on the full module name of an MMDiT."""


@dataclass(frozen=True)
class LoraSpec:
    """Shape of a LoRA: W + (alpha / rank) · B A.

    Attributes:
        rank: of the pair (A, B).
        alpha: numerator of the scale.
        targets: a key of TARGETS, or a regular expression on full module names.
    """

    rank: int = 4
    alpha: float = 4.0
    targets: str = "attention"

    @property
    def pattern(self) -> str:
        """The regular expression that picks the layers."""
        return TARGETS.get(self.targets, self.targets)


class Matrix(nn.Module):
    """A or B of a LoRA: weights in float32, the product in bfloat16 where the network computes in that.

    A product in float32 would keep every input of the layer for the backward pass a second time, in float32. In
    float16 its gradient could vanish: there it stays in float32.
    """

    def __init__(self, plain: nn.Linear):
        """The same weights, in float32."""
        super().__init__()
        self.weight = nn.Parameter(plain.weight.data.float())

    def forward(self, x: Tensor) -> Tensor:
        """W x, [..., out]."""
        dtype = x.dtype if x.dtype == torch.bfloat16 else self.weight.dtype
        return nn.functional.linear(x.to(dtype), self.weight.to(dtype))


class Branches:
    """LoRAs by name on one network, of which one at a time, or none, takes part in a pass.

    The network is changed in place while branches exist; `remove` leaves it as it was.
    """

    def __init__(self, module: nn.Module):
        self.module = module
        self._specs: dict[str, LoraSpec] = {}
        self._trainable: set[str] = set()
        self._all: list[LoraLayer] = []

    def add(self, name: str, spec: LoraSpec, seed: int, trainable: bool = True) -> None:
        """A fresh branch: A gaussian with deviation 1 / rank, B zero, so that it starts as the base.

        Raises:
            ValueError: no layer of the network matches, or the layers are of a kind that cannot be adapted.
        """
        names = [n for n, m in self.module.named_modules() if re.fullmatch(spec.pattern, _plain(n))]
        if not names:
            raise ValueError(
                f"No layer of this model matches the target layers {spec.targets!r}. "
                "Choose other target layers; models of the Stable Diffusion 3 family are supported."
            )
        config = LoraConfig(
            r=spec.rank,
            lora_alpha=spec.alpha,
            target_modules=sorted({_plain(n) for n in names}),
            init_lora_weights="gaussian",
        )
        with torch.random.fork_rng(), warnings.catch_warnings():
            torch.manual_seed(seed)
            warnings.filterwarnings("ignore", "Already found a `peft_config`")  # several branches are the point
            try:
                inject_adapter_in_model(config, self.module, name)
            except ValueError as error:
                raise ValueError(
                    f"The layers of this model cannot be adapted ({error}). "
                    "Quantised checkpoints are not supported for training: load a bf16, fp16 or unscaled fp8 one."
                ) from error
        self._all = [m for m in self.module.modules() if isinstance(m, LoraLayer)]
        self._specs[name] = spec
        if trainable:
            self._trainable.add(name)
        for _, layer in self._layers(name):
            layer.cast_input_dtype_enabled = False  # Matrix sees to it
            for pair in (layer.lora_A, layer.lora_B):
                pair[name] = Matrix(pair[name])
        for other in self._specs:
            for parameter in self.parameters(other):
                parameter.requires_grad_(other in self._trainable)
        self._switch(None)

    def load(self, name: str, weights: Mapping[str, Tensor]) -> None:
        """A frozen branch from exported weights.

        Args:
            name: of the branch.
            weights: as `export` gives them.

        Raises:
            ValueError: the weights do not fit this network.
        """
        pairs = {
            k[len(PREFIX) : -len(".lora_down.weight")]: w for k, w in weights.items() if k.endswith("lora_down.weight")
        }
        if not pairs:
            raise ValueError("The extractor holds no LoRA weights. Train it again.")
        modules = dict((_plain(n), m) for n, m in self.module.named_modules())
        for path, down in pairs.items():
            up = weights[f"{PREFIX}{path}.lora_up.weight"]
            layer = modules.get(path)
            shape = (getattr(layer, "out_features", None), getattr(layer, "in_features", None))
            if shape != (up.shape[0], down.shape[1]):
                raise ValueError(
                    f"The extractor was trained on another model: layer {path} is {shape} here and "
                    f"{(up.shape[0], down.shape[1])} there. Train an extractor on the model that is connected."
                )
        rank = next(iter(pairs.values())).shape[0]
        alpha = float(weights[f"{PREFIX}{next(iter(pairs))}.alpha"])
        self.add(name, LoraSpec(rank, alpha, "|".join(re.escape(p) for p in pairs)), seed=0, trainable=False)
        with torch.no_grad():
            for path, layer in self._layers(name):
                layer.lora_A[name].weight.copy_(weights[f"{PREFIX}{path}.lora_down.weight"])
                layer.lora_B[name].weight.copy_(weights[f"{PREFIX}{path}.lora_up.weight"])

    def export(self, name: str) -> dict[str, Tensor]:
        """The branch under the names that the stock LoRA loader takes, float32, on the CPU."""
        out: dict[str, Tensor] = {}
        for path, layer in self._layers(name):
            key = PREFIX + path
            out[f"{key}.lora_up.weight"] = layer.lora_B[name].weight.detach().float().cpu().clone()
            out[f"{key}.lora_down.weight"] = layer.lora_A[name].weight.detach().float().cpu().clone()
            out[f"{key}.alpha"] = torch.tensor(self._specs[name].alpha)
        return out

    def parameters(self, name: str) -> list[nn.Parameter]:
        """The weights A and B of a branch."""
        return [w for _, layer in self._layers(name) for w in (layer.lora_A[name].weight, layer.lora_B[name].weight)]

    @contextmanager
    def use(self, name: str | None) -> Iterator[None]:
        """Passes inside run with that branch; with None, with the untouched base."""
        self._switch(name)
        try:
            yield
        finally:
            self._switch(None)

    def _switch(self, name: str | None) -> None:
        # peft's own switch also sets for every weight whether it takes a gradient, which costs as much as a small pass.
        for layer in self._all:
            layer._disable_adapters = name is None
            layer._active_adapter = name or layer._active_adapter

    def remove(self) -> None:
        """Takes every branch off; the network's modules are the original ones again."""
        for name, layer in [(n, m) for n, m in self.module.named_modules() if isinstance(m, LoraLayer)]:
            parent, _, leaf = name.rpartition(".")
            setattr(self.module.get_submodule(parent), leaf, layer.get_base_layer())
        self._all = []
        self._specs.clear()
        self._trainable.clear()

    def _layers(self, name: str) -> list[tuple[str, LoraLayer]]:
        found = [(n, m) for n, m in self.module.named_modules() if isinstance(m, LoraLayer) and name in m.lora_A]
        return [(_plain(n), m) for n, m in found]


def _plain(name: str) -> str:
    """A module's name as it was before any branch was injected."""
    return name.replace(".base_layer", "")
