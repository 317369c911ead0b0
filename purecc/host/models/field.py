"""Use a MODEL of the host as a velocity field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from comfy.model_base import BaseModel
from comfy.model_patcher import ModelPatcher
from torch import Tensor, nn

from ...network.checkpointing import Checkpointing, KeptInputs
from ...network.embedding import LayerHooks
from ...network.field import Conditioning
from ..families import family_of
from .beside import attach_to_copy
from .copies import private_copy
from .differentiable import attention_options
from .noise_path import noise_path, to_host
from .precision import compute_in

FLOAT16_LOSS_SCALE = 2.0**16
"""Brings gradients into the range of float16, 6e-8 to 65504: that of a mean over the 2¹⁸ numbers of a 1024 pixel image
to about 1, that over the 2¹⁴ of a 256 pixel one to about 10."""


class HostField:
    """Computes v(x_t, t | y) with a private copy of a MODEL; x_t is in the model's latent space.

    A still of a video model is a latent [B, C, H, W] here, and a video of one frame to the host.

    Attributes:
        patcher: the copy as the host loads it.
        base: its model.
        module: its network.
        family: what is known of the network.
        path: at which times it is trained and sampled.
        text_blocks: its transformer blocks.
        text_inputs: where they take the text stream, as far as it is known.
        hooks: insert layer-wise vectors at the marks of the conditioning of each pass.
        checkpointing: which blocks the backward pass recomputes; none at first.
        device: where it computes.
    """

    def __init__(self, patcher: ModelPatcher):
        self.patcher = patcher
        self.base: BaseModel = patcher.model
        self.module = self.base.diffusion_model
        self.family = family_of(patcher)
        self.path = noise_path(self.base.model_sampling)
        self.text_blocks: Sequence[nn.Module] = self.family.blocks_of(self.module)
        self.text_inputs = self.family.text_inputs(self.module)
        self.hooks = LayerHooks(self.text_inputs)
        self.checkpointing = Checkpointing(self.text_blocks, self.family.in_place)
        self._kept_inputs = KeptInputs(self.text_blocks if self.family.in_place else ())
        self.device = patcher.load_device

    def remove(self) -> None:
        """Take hooks and checkpointing off the network."""
        self.hooks.remove()
        self._kept_inputs.remove()
        self.checkpointing.first(0)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of its computations."""
        return self.base.get_dtype_inference()

    @property
    def loss_scale(self) -> float:
        """See VelocityField."""
        return FLOAT16_LOSS_SCALE if self.dtype == torch.float16 else 1.0

    def keep_positions(self, shapes: Iterable[Sequence[int]]) -> None:
        """Keep only the position embeddings that latents of these shapes (C, H, W) use; larger ones then fail."""
        self.family.keep_positions(self.module, shapes)

    def velocity(self, x_t: Tensor, t: Tensor, y: Conditioning) -> Tensor:
        """Return v = (x_t - x̂0) / t, [B, C, H, W] float32; see VelocityField."""
        return self.predict(x_t, t, self.inputs(x_t, y), y.marks, attention_options())

    def predict(self, x_t: Tensor, t: Tensor, inputs: dict[str, Any], marks: Tensor, options: dict) -> Tensor:
        """Return `velocity` for the network's inputs beside x and t, with these transformer options."""
        x, sigma = to_host(self.base.model_sampling, x_t, t)
        self.hooks.marks = marks
        try:
            x0 = self.base.apply_model(self._framed(x), sigma, transformer_options=options, **inputs)
        finally:
            self.hooks.marks = None
        return (x_t - self._unframed(x0)).float() / t.float().view(-1, *[1] * (x_t.ndim - 1))

    def inputs(self, x_t: Tensor, y: Conditioning) -> dict[str, Any]:
        """Return the network's inputs beside x and t, made prompt by prompt and joined as the host's samplers do."""
        x = self._framed(x_t)
        scale = int(getattr(self.base.latent_format, "spacial_downscale_ratio", 8))
        shared = {"device": self.device, "prompt_type": "positive"}
        shared |= {"width": x.shape[-1] * scale, "height": x.shape[-2] * scale}
        made = []
        for one, context, given in zip(x.split(1), y.context.split(1), y.fields or ({},) * len(x), strict=True):
            # Some models write into what they are given.
            fields = {k: v.clone() if isinstance(v, Tensor) else v for k, v in given.items()}
            conds = self.base.extra_conds(cross_attn=context.clone(), noise=one, **{**shared, **fields})
            made.append({k: c.process_cond(batch_size=1, area=None) for k, c in conds.items()})
        first, *rest = made
        return {k: c.concat([other[k] for other in rest]) for k, c in first.items()}

    def latents_in(self, latents: Tensor) -> Tensor:
        """Scale latents of the VAE to those of the model."""
        return self._unframed(self.base.process_latent_in(self._framed(latents)))

    def latents_out(self, latents: Tensor) -> Tensor:
        """Scale latents of the model to those of the VAE."""
        return self._unframed(self.base.process_latent_out(self._framed(latents)))

    @property
    def _of_videos(self) -> bool:
        return self.base.latent_format.latent_dimensions == 3

    def _framed(self, latents: Tensor) -> Tensor:
        return latents.unsqueeze(2) if self._of_videos else latents

    def _unframed(self, latents: Tensor) -> Tensor:
        return latents.squeeze(2) if self._of_videos else latents


def check_model(model: ModelPatcher) -> None:
    """Refuse, before any work, a MODEL that cannot be trained.

    Raises:
        ValueError: it is of a kind that cannot be trained, and why.
    """
    family_of(model)
    # The object of this MODEL: another MODEL that shares its weights may have replaced it while loaded.
    noise_path(model.get_model_object("model_sampling"))


@contextmanager
def private_field(model: ModelPatcher, precision: str = "auto") -> Iterator[HostField]:
    """Give a velocity field on a private copy of the user's MODEL, freed on leaving.

    Args:
        model: the user's MODEL.
        precision: of the base, a key of `precision.PRECISIONS`; LoRA and embeddings are float32.
    """
    with private_copy(model) as private:
        compute_in(private.model, precision, private.load_device)
        attach_to_copy(private)
        field = HostField(private)
        try:
            yield field
        finally:
            field.remove()
