"""A recipe of a tiny model, and the model that it makes."""

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import comfy.model_patcher
import torch


def text(rows: int, width: int) -> torch.Tensor:
    """The conditioning of a prompt, [1, rows, width]: the same numbers for the same shape."""
    return torch.randn(1, rows, width, generator=torch.Generator().manual_seed(3))


def pooled(width: int) -> torch.Tensor:
    """The pooled vector of a prompt, [1, width]."""
    return text(1, width)[:, 0]


@dataclass(frozen=True)
class Recipe:
    """A tiny model of one family.

    Attributes:
        cls: the host's class of configuration.
        unet: a small configuration of it.
        latent: shape of a latent without the batch.
        cond: the conditioning of one prompt.
        blocks: lists of transformer blocks in the network; or a function from the model to its blocks.
        sampling: settings of the noise schedule that the loader would find in the file.
        small: makes parts small, while the model is made, whose size the host fixes.
    """

    cls: type
    unet: dict
    latent: tuple[int, ...]
    cond: dict[str, Any]
    blocks: tuple[str, ...] | Callable
    sampling: dict = field(default_factory=dict)
    small: Callable[[], AbstractContextManager] = nullcontext

    def __call__(self) -> dict[str, Any]:
        """The values, of their own."""
        values = {"cls": self.cls, "unet": copy.deepcopy(self.unet), "latent": self.latent}
        return {**values, "cond": copy.deepcopy(self.cond), "blocks": self.blocks_of}

    def blocks_of(self, base) -> list[torch.nn.Module]:
        if callable(self.blocks):
            return self.blocks(base)
        return [block for name in self.blocks for block in base.diffusion_model.get_submodule(name)]


def randomise(module, seed=0, gain=1.0):
    """Give a network random weights of a size at which signals pass."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in list(module.named_parameters()) + list(module.named_buffers()):
            if not p.is_floating_point() or p.numel() == 0:
                continue
            leaf = name.rpartition(".")[2]
            if name.endswith(("inv_freq", "freqs")):
                continue
            if leaf in ("weight", "scale") and p.ndim == 1:
                p.copy_(1 + 0.1 * torch.randn(p.shape, generator=g))
            elif p.ndim >= 2 and leaf != "pos_embed":
                fan = p[0].numel() if p.shape[0] > 1 or p.ndim == 2 else p.shape[-1]
                p.copy_(gain * torch.randn(p.shape, generator=g) / max(1, fan) ** 0.5)
            else:
                p.copy_(0.1 * torch.randn(p.shape, generator=g))


def direct(config_class, unet_config, sd=None, sampling=None):
    """A BaseModel of the host from a small configuration, without a checkpoint."""
    config = config_class(copy.deepcopy(unet_config))
    config.sampling_settings = {**config.sampling_settings, **(sampling or {})}
    config.set_inference_dtype(torch.float32, None)
    base = config.get_model(sd or {}, "")
    randomise(base.diffusion_model)
    base.diffusion_model.eval()
    return base


def patcher_of(base):
    cpu = torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(base, load_device=cpu, offload_device=cpu)


def make(recipe: Recipe) -> tuple[dict, Any]:
    """The recipe's values and the BaseModel."""
    with recipe.small():
        base = direct(recipe.cls, recipe.unet, sampling=recipe.sampling)
    if hasattr(base.diffusion_model, "clear_kv_cache"):
        # HiDream-O1 keeps the text's K and V from call to call, of other weights too.
        base.diffusion_model.register_forward_pre_hook(lambda m, a: m.clear_kv_cache())
    return recipe(), base
