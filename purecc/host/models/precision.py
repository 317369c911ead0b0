"""What the private copy of a MODEL computes in."""

from __future__ import annotations

import torch
from comfy import model_management
from comfy.model_base import BaseModel

PRECISIONS = {"auto": None, "as loaded": None, "float32": torch.float32, "bfloat16": torch.bfloat16}
"""Precisions of the base. "as loaded": the one the host samples in. "auto": the same, but bfloat16 instead of float16
where the device computes well in it, because some gradients vanish in float16, and instead of float32 where a processor
multiplies matrices in it and the weights lose nothing."""

BFLOAT16_PRODUCTS = ("amx_bf16", "avx512_bf16")
"""Capabilities of processors that multiply matrices of bfloat16."""


def compute_in(base: BaseModel, precision: str, device: torch.device) -> None:
    """Set the precision of a private copy; 8-bit weights stay unless another precision is requested by name."""
    dtype = PRECISIONS[precision]
    if precision == "auto" and _better_in_bfloat16(base, device):
        dtype = torch.bfloat16
        if base.get_dtype().itemsize == 1:
            base.manual_cast_dtype = dtype  # the host casts every weight to the dtype of the layer's input
            return
    if dtype is not None:
        base.diffusion_model.to(dtype)
        base.diffusion_model.dtype = dtype
        base.manual_cast_dtype = None


def _better_in_bfloat16(base: BaseModel, device: torch.device) -> bool:
    if base.get_dtype_inference() == torch.float16:
        return model_management.should_use_bf16(device)
    by_processor = device.type == "cpu" and base.get_dtype_inference() == torch.float32
    return by_processor and multiplies_bfloat16() and _exact_in_bfloat16(base)


def multiplies_bfloat16() -> bool:
    """Return whether this processor has instructions for it; False where PyTorch cannot tell."""
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) for name in BFLOAT16_PRODUCTS)


def _exact_in_bfloat16(base: BaseModel) -> bool:
    """Return whether every weight is a bfloat16, as of a checkpoint in it that the host has widened."""
    weights = list(base.diffusion_model.parameters())
    plain = all(type(w) is torch.nn.Parameter and w.dtype in (torch.float32, torch.bfloat16) for w in weights)
    return plain and all(torch.equal(w, w.bfloat16().to(w.dtype)) for w in weights)
