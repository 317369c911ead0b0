"""A MODEL of the host as a velocity field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import comfy.model_sampling
import torch
from comfy import model_management
from comfy.ldm.modules import attention
from comfy.ldm.modules.diffusionmodules.mmdit import MMDiT
from comfy.model_base import BaseModel
from comfy.model_patcher import ModelPatcher
from torch import Tensor, nn

from ..checkpointing import Checkpointing
from ..concept import LayerHooks
from ..field import Conditioning
from .copies import private_copy

PRECISIONS = {"auto": None, "as loaded": None, "float32": torch.float32, "bfloat16": torch.bfloat16}
"""What the base computes in. "as loaded": what the host would sample in. "auto": the same, but bfloat16 in place of
float16 wherever the device computes well in it: gradients that vanish in float16 do not there."""

FLOAT16_LOSS_SCALE = 2.0**16
"""Brings the gradient of a mean over the 2¹⁸ numbers of a 1024 pixel picture near 1, and that over the 2¹⁴ of a 256
pixel one near 10, in a format that reaches from 6e-8 to 65504."""


class HostField:
    """v(x_t, t | y) of a private copy of a MODEL; x_t is in the model's latent space.

    Attributes:
        module: the network.
        text_blocks: its joint blocks.
        hooks: the layer-wise vectors' way in; follows the marks of the conditioning of each pass.
        checkpointing: which joint blocks are computed again in the backward pass; none at first.
        device: where it computes.
        patcher: the copy as the host loads it.
    """

    def __init__(self, patcher: ModelPatcher):
        self.patcher = patcher
        self.base: BaseModel = patcher.model
        self.module: nn.Module = self.base.diffusion_model
        self.text_blocks: Sequence[nn.Module] = self.module.joint_blocks
        self.hooks = LayerHooks(self.text_blocks)
        self.checkpointing = Checkpointing(self.text_blocks)
        self.device = patcher.load_device

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        return self.base.get_dtype_inference()

    @property
    def loss_scale(self) -> float:
        """See VelocityField."""
        return FLOAT16_LOSS_SCALE if self.dtype == torch.float16 else 1.0

    def keep_positions(self, shapes: Iterable[Sequence[int]]) -> None:
        """Keeps of the position embeddings the middle that latents of these shapes (C, H, W) take; others then fail.

        SD3.5 Medium's are for pictures of 6144 pixels, 0.45 GB.
        """
        network = self.module
        if network.pos_embed is None:
            return
        whole = network.pos_embed_max_size
        side = max((n + 1) // network.patch_size for _, *sides in shapes for n in sides)
        side += (whole - side) % 2  # so that the middle stays where it is
        if side < whole:
            middle = slice((whole - side) // 2, (whole + side) // 2)
            square = network.pos_embed.unflatten(1, (whole, whole))
            network.pos_embed = square[:, middle, middle].flatten(1, 2).clone()
            network.pos_embed_max_size = side

    def velocity(self, x_t: Tensor, t: Tensor, y: Conditioning) -> Tensor:
        """Returns v = (x_t - x̂0) / t, [B, C, H, W] float32; see VelocityField."""
        conds = self.base.extra_conds(cross_attn=y.context, noise=x_t, device=self.device, **y.fields)
        conds = {k: c.process_cond(batch_size=len(x_t)).cond for k, c in conds.items()}
        self.hooks.marks = y.marks
        try:
            x0 = self.base.apply_model(x_t, t, transformer_options=_attention(), **conds)
        finally:
            self.hooks.marks = None
        return (x_t - x0).float() / t.float().view(-1, *[1] * (x_t.ndim - 1))

    def latents_in(self, latents: Tensor) -> Tensor:
        """Latents of the VAE as the model has them."""
        return self.base.process_latent_in(latents)

    def latents_out(self, latents: Tensor) -> Tensor:
        """The reverse of `latents_in`."""
        return self.base.process_latent_out(latents)


def _attention() -> dict:
    """PyTorch's attention where the host was started with one that has no backward pass."""
    if model_management.sage_attention_enabled() or model_management.flash_attention_enabled():
        return {"optimized_attention_override": lambda _, *given, **named: attention.attention_pytorch(*given, **named)}
    return {}


def check_model(model) -> None:
    """Refuses, before any work, a MODEL that cannot be trained.

    Raises:
        ValueError: names what is wrong and what to load instead.
    """
    base = model.model
    kind = type(base).__name__
    # Of this MODEL, whatever another that shares its weights has put there for the time that it is loaded.
    if not isinstance(model.get_model_object("model_sampling"), comfy.model_sampling.CONST):
        raise ValueError(
            f"The model ({kind}) does not predict a velocity, so it cannot be trained here. "
            "Load a Stable Diffusion 3 or 3.5 model."
        )
    if not isinstance(base.diffusion_model, MMDiT):
        raise ValueError(f"Models of kind {kind} are not supported yet. Load a Stable Diffusion 3 or 3.5 model.")


@contextmanager
def private_field(model, precision: str = "auto") -> Iterator[HostField]:
    """A velocity field on a private copy of the user's MODEL, freed on leaving.

    Args:
        model: the user's MODEL.
        precision: a key of PRECISIONS, what the base computes in; LoRA and embeddings are float32.
    """
    with private_copy(model) as private:
        _compute_in(private.model, precision, private.load_device)
        field = HostField(private)
        try:
            yield field
        finally:
            field.hooks.remove()
            field.checkpointing.first(0)


def _compute_in(base: BaseModel, precision: str, device: torch.device) -> None:
    """Has a private copy compute in a precision; weights of 8 bits stay so unless one is asked for by name."""
    dtype = PRECISIONS[precision]
    if precision == "auto" and base.get_dtype_inference() == torch.float16 and model_management.should_use_bf16(device):
        dtype = torch.bfloat16
        if base.get_dtype().itemsize == 1:
            base.manual_cast_dtype = dtype  # the host casts every weight to what its layer is given
            return
    if dtype is not None:
        base.diffusion_model.to(dtype)
        base.diffusion_model.dtype = dtype
        base.manual_cast_dtype = None
