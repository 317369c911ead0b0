"""One base model and the named LoRA branches on it: θ1, θ2, and neither."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from .linear import adaptable, is_linear, shape_of

if TYPE_CHECKING:
    from peft.tuners.lora import LoraLayer

PREFIX = "diffusion_model."

AUTO = "auto"
"""Target layers that the recipe chooses, see `Recipe.target_layers`."""

TARGETS = ("attention", "attention and second attention", "attention and mlp", "modulation", "all blocks")
"""Groups of linear layers that a LoRA adapts; which layers they are depends on the model."""


@dataclass(frozen=True)
class LoraSpec:
    """Shape of a LoRA: W + (alpha / rank) · B A.

    Attributes:
        rank: of the pair (A, B).
        alpha: numerator of the scale.
        targets: a member of TARGETS, or a regular expression on full module names.
    """

    rank: int = 4
    alpha: float = 4.0
    targets: str = "attention"


def lora_bytes(module: nn.Module, pattern: str, rank: int) -> int:
    """Return the size of a LoRA in float32, before there is one.

    Args:
        module: the network.
        pattern: regular expression on the full names of the layers.
        rank: of the pair (A, B).
    """
    shapes = (shape_of(m) for n, m in module.named_modules() if re.fullmatch(pattern, n))
    return sum(4 * rank * sum(shape) for shape in shapes if shape is not None)


class Matrix(nn.Module):
    """A or B of a LoRA: weights in float32, the product in bfloat16 where the network computes in that.

    A product in float32 would keep every input of the layer for the backward pass a second time, in float32. In
    float16 its gradient could vanish: there it stays in float32.
    """

    def __init__(self, plain: nn.Linear):
        """Take the weights of a layer, in float32."""
        super().__init__()
        self.weight = nn.Parameter(plain.weight.data.float())

    def forward(self, x: Tensor) -> Tensor:
        """Return W x, [..., out]."""
        dtype = x.dtype if x.dtype == torch.bfloat16 else self.weight.dtype
        return nn.functional.linear(x.to(dtype), self.weight.to(dtype))


class LoraBranches:
    """LoRAs by name on one network, of which one at a time, or none, takes part in a pass.

    The network is changed in place while branches exist; `remove` leaves it as it was.

    Args:
        module: the network.
        layers: gives the regular expression on full module names for a LoRA's targets.
        device: where the network computes; None: where its weights are.
    """

    def __init__(self, module: nn.Module, layers: Callable[[str], str] = str, device: torch.device | None = None):
        self.module = module
        self._pattern_of = layers
        self._device = device
        self._specs: dict[str, LoraSpec] = {}
        self._trainable: set[str] = set()
        self._all: list[LoraLayer] = []

    def add(self, name: str, spec: LoraSpec, seed: int, trainable: bool = True) -> None:
        """Add a fresh branch: A gaussian with deviation 1 / rank, B zero, so that it starts as the base.

        Raises:
            ValueError: no layer of the network matches.
        """
        from peft import LoraConfig, inject_adapter_in_model  # takes seconds, which the host's start should not
        from peft.tuners.lora import LoraLayer

        pattern = self._pattern_of(spec.targets)
        linear = {_plain(n): m for n, m in self.module.named_modules() if is_linear(m) and not isinstance(m, LoraLayer)}
        names = sorted(n for n in linear if re.fullmatch(pattern, n))
        if not names:
            raise ValueError(
                f"No linear layer of this model matches the target layers {spec.targets!r}. Choose other target layers."
            )
        config = LoraConfig(
            r=spec.rank,
            lora_alpha=spec.alpha,  # type: ignore[arg-type]  # peft computes alpha / r with any number
            target_modules="|".join(map(re.escape, names)),  # peft matches the names of a list by their ends, too
            init_lora_weights="gaussian",
        )
        with torch.random.fork_rng(), warnings.catch_warnings(), adaptable([linear[n] for n in names]) as beside:
            torch.manual_seed(seed)
            warnings.filterwarnings("ignore", "Already found a `peft_config`")  # several branches are the point
            warnings.filterwarnings("ignore", "Unsupported layer type")
            config._register_custom_module(beside)
            inject_adapter_in_model(config, self.module, name)
        self._all = [m for m in self.module.modules() if isinstance(m, LoraLayer)]
        self._specs[name] = spec
        if trainable:
            self._trainable.add(name)
        for _, layer in self._layers(name):
            layer.cast_input_dtype_enabled = False  # Matrix sees to it
            for pair in (layer.lora_A, layer.lora_B):
                pair[name] = Matrix(cast(nn.Linear, pair[name])).to(self._device)
        for other in self._specs:
            for parameter in self.parameters(other):
                parameter.requires_grad_(other in self._trainable)
        self._switch(None)

    def load(self, name: str, weights: Mapping[str, Tensor]) -> None:
        """Add a frozen branch from exported weights.

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
            shape = shape_of(layer)
            if shape != (up.shape[0], down.shape[1]):
                raise ValueError(
                    f"The extractor was trained on another model: layer {path} is {shape} here and "
                    f"{(up.shape[0], down.shape[1])} there. Train an extractor on the model that is connected."
                )
        rank = next(iter(pairs.values())).shape[0]
        alpha = float(weights[f"{PREFIX}{next(iter(pairs))}.alpha"])
        self.add(name, LoraSpec(rank, alpha, "|".join(re.escape(p) for p in pairs)), seed=0, trainable=False)
        self.fill(name, weights)

    @torch.no_grad()
    def fill(self, name: str, weights: Mapping[str, Tensor]) -> None:
        """Set the weights of a branch to exported ones of the same layers, rank and alpha.

        Raises:
            ValueError: they are of others; says which.
        """
        here = {key: tuple(w.shape) for key, w in self.export(name).items()}
        there = {key: tuple(w.shape) for key, w in weights.items()}
        if wrong := sorted(key for key in here.keys() | there.keys() if here.get(key) != there.get(key)):
            sizes = f"{there.get(wrong[0], 'missing')} there and {here.get(wrong[0], 'missing')} here"
            raise ValueError(f"The LoRA has other layers or another rank: {wrong[0]} is {sizes}.")
        for path, layer in self._layers(name):
            alpha = float(weights[f"{PREFIX}{path}.alpha"])
            if alpha != self._specs[name].alpha:
                raise ValueError(f"The LoRA has alpha {alpha:g} there and {self._specs[name].alpha:g} here.")
            down, up = _pair(layer, name)
            down.copy_(weights[f"{PREFIX}{path}.lora_down.weight"])
            up.copy_(weights[f"{PREFIX}{path}.lora_up.weight"])

    def export(self, name: str) -> dict[str, Tensor]:
        """Return the branch under the names that the stock LoRA loader takes, float32, on the CPU."""
        out: dict[str, Tensor] = {}
        for path, layer in self._layers(name):
            key, (down, up) = PREFIX + path, _pair(layer, name)
            out[f"{key}.lora_up.weight"] = up.detach().float().cpu().clone()
            out[f"{key}.lora_down.weight"] = down.detach().float().cpu().clone()
            out[f"{key}.alpha"] = torch.tensor(self._specs[name].alpha)
        return out

    def parameters(self, name: str) -> list[nn.Parameter]:
        """Return the weights A and B of a branch, layer by layer."""
        return [weight for _, layer in self._layers(name) for weight in _pair(layer, name)]

    @contextmanager
    def use(self, name: str | None) -> Iterator[None]:
        """Run passes inside with that branch; with None, with the untouched base."""
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

    def place(self) -> None:
        """Move the weights to the device; the host leaves some elsewhere when it loads a part of a model."""
        if self._device is not None:
            for layer in self._all:
                layer.lora_A.to(self._device)
                layer.lora_B.to(self._device)

    def remove(self) -> None:
        """Take every branch off; the network's modules are the original ones again."""
        from peft.tuners.lora import LoraLayer

        for name, layer in [(n, m) for n, m in self.module.named_modules() if isinstance(m, LoraLayer)]:
            parent, _, leaf = name.rpartition(".")
            setattr(self.module.get_submodule(parent), leaf, layer.get_base_layer())
        self._all = []
        self._specs.clear()
        self._trainable.clear()

    def _layers(self, name: str) -> list[tuple[str, LoraLayer]]:
        from peft.tuners.lora import LoraLayer

        found = [(n, m) for n, m in self.module.named_modules() if isinstance(m, LoraLayer) and name in m.lora_A]
        return [(_plain(n), m) for n, m in found]


def _pair(layer: LoraLayer, name: str) -> tuple[nn.Parameter, nn.Parameter]:
    """Return the weights A and B of a branch on a layer."""
    a, b = (cast(Matrix, of[name]) for of in (layer.lora_A, layer.lora_B))
    return a.weight, b.weight


def _plain(name: str) -> str:
    """Return a module's name as it was before any branch was injected."""
    return name.replace(".base_layer", "")
