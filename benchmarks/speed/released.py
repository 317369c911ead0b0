"""The released PureCC step of stage 2 as its scripts do it, on diffusers' SD3 transformer, written anew.

Two whole transformers lie in memory: the trained one, and the extractor, which the scripts run with its adapter
disabled. Every step encodes the same prompts through three text encoders and the images through the VAE. λ = 1, η = 2,
no stop-gradient on v_original, a LoRA of rank 4, AdamW. It is given every advantage that leaves it what it is: bf16
throughout, its LoRA included, SDPA, a fused optimiser, all prompts of a step in one batch, ready token ids, no
checkpointing unless memory asks for it, and optionally the two passes of either transformer as one batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from speed import released_models as parts
from speed.sizes import Size

ETA, SCALE, SHIFT, TIMES, TOKENS = 2.0, 1.0, 3.0, 1000, 77
PROMPTS = ("complete", "base", "target", "empty")


@dataclass(frozen=True)
class Noised:
    """What the transformers see, and what is asked.

    Attributes:
        x_t: [B, 16, h, w].
        timestep: [B] in (0, 1000].
        target: x1 - x0, [B, 16, h, w].
        context: [N, 154, D] for each of PROMPTS.
        pooled: [N, P] for each of PROMPTS.
    """

    x_t: Tensor
    timestep: Tensor
    target: Tensor
    context: dict[str, Tensor]
    pooled: dict[str, Tensor]


class ReleasedStep:
    """Everything that a step needs, loaded; calling it makes a step and returns its loss."""

    def __init__(self, size: Size, device: torch.device, joined: bool = False, seed: int = 0):
        """Loads it all.

        Args:
            size: shapes.
            device: where.
            joined: whether passes of one transformer go through it as one batch.
            seed: of noise and pictures.
        """
        self.size, self.device, self.joined = size, device, joined
        self.trained, self.frozen = parts.transformer(size, device), parts.transformer(size, device)
        self.weights = parts.add_lora(self.trained, size)
        parts.add_lora(self.frozen, size)
        self.frozen.requires_grad_(False)
        self.frozen.disable_adapters()
        self.encoders = [parts.clip(size.encoders[name], size, device) for name in ("clip_l", "clip_g")]
        self.t5 = parts.t5(size.encoders["t5xxl"], size, device)
        self.vae = parts.autoencoder(size, device)
        self.dtype = self.frozen.pos_embed.proj.weight.dtype
        self.optimiser = torch.optim.AdamW(self.weights, 1e-4, (0.9, 0.999), weight_decay=1e-4, fused=True)
        self.generator = torch.Generator(device).manual_seed(seed)
        times = torch.linspace(TIMES, 1, TIMES, device=device) / TIMES
        self.sigmas = SHIFT * times / (1 + (SHIFT - 1) * times)

    def __call__(self, pixels: int, batch: int, mark: Callable[[str], None] = lambda name: None) -> Tensor:
        """A step on random pictures [B, 3, pixels, pixels]; `mark` is called at the end of every part of it."""
        mark("")
        noised = self.noised(pixels, batch, mark)
        loss = self.loss(self.velocities(noised, mark), noised.target)
        loss.backward()
        mark("backward")
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        mark("optimiser")
        return loss.detach()

    @torch.no_grad()
    def noised(self, pixels: int, batch: int, mark: Callable[[str], None] = lambda name: None) -> Noised:
        """Texts and pictures encoded, and noise on the pictures."""
        context, pooled = self._texts(batch)
        mark("texts")
        images = torch.rand(batch, 3, pixels, pixels, device=self.device, generator=self.generator) * 2 - 1
        x0 = self.vae.encode(images.to(self.size.dtype)).latent_dist.sample(self.generator)
        x0 = (x0 - self.vae.config.shift_factor) * self.vae.config.scaling_factor
        x1 = torch.randn(x0.shape, device=self.device, dtype=x0.dtype, generator=self.generator)
        u = torch.sigmoid(torch.randn(batch, device=self.device, generator=self.generator))
        sigma = self.sigmas[(u * TIMES).long().clamp(max=TIMES - 1)]
        s = sigma.view(-1, 1, 1, 1).to(x0.dtype)
        mark("latents")
        return Noised((1 - s) * x0 + s * x1, sigma * TIMES, x1 - x0, context, pooled)

    def velocities(self, n: Noised, mark: Callable[[str], None] = lambda name: None) -> dict[str, Tensor]:
        """v for each of PROMPTS: the first two of the trained transformer, the others of the frozen one."""
        out: dict[str, Tensor] = {}
        for network, names in ((self.trained, PROMPTS[:2]), (self.frozen, PROMPTS[2:])):
            groups = [names] if self.joined else [[name] for name in names]
            with torch.set_grad_enabled(network is self.trained):
                for group in groups:
                    k = len(group)
                    v = network(
                        hidden_states=n.x_t.repeat(k, 1, 1, 1),
                        timestep=n.timestep.repeat(k),
                        encoder_hidden_states=torch.cat([n.context[name] for name in group]),
                        pooled_projections=torch.cat([n.pooled[name] for name in group]),
                        return_dict=False,
                    )[0]
                    out.update(zip(group, v.chunk(k), strict=True))
                    mark("trained forward" if network is self.trained else "frozen forward")
        return out

    @staticmethod
    def loss(v: dict[str, Tensor], target: Tensor) -> Tensor:
        """L_CC + η L_PureCC with a fixed λ."""
        pure = v["base"] + SCALE * (v["target"] - v["empty"])
        concept = F.mse_loss(v["complete"].float(), target.float())
        return concept + ETA * F.mse_loss(v["complete"].float(), pure.float())

    def _texts(self, batch: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        rows = batch * len(PROMPTS)
        shape = (rows, TOKENS)
        hidden, pooled = [], []
        for encoder in self.encoders:
            ids = torch.randint(encoder.config.vocab_size, shape, device=self.device, generator=self.generator)
            said = encoder(ids, output_hidden_states=True)
            hidden.append(said.hidden_states[-2])
            pooled.append(said.text_embeds)
        ids = torch.randint(self.t5.config.vocab_size, shape, device=self.device, generator=self.generator)
        long = self.t5(ids)[0]
        short = torch.cat(hidden, dim=-1)
        context = torch.cat([F.pad(short, (0, long.shape[-1] - short.shape[-1])), long], dim=1)
        contexts, vectors = context.chunk(len(PROMPTS)), torch.cat(pooled, dim=-1).chunk(len(PROMPTS))
        return dict(zip(PROMPTS, contexts, strict=True)), dict(zip(PROMPTS, vectors, strict=True))
