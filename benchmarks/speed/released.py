"""The released PureCC step of stage 2, written anew on diffusers' SD3 transformer.

Two whole transformers lie in memory: the trained one and the extractor, which the released scripts run with its adapter
disabled. Every step encodes the same prompts by three text encoders and the images by the VAE. λ = 1, η = 2, no
stop-gradient on v_original, rank 4, AdamW. It runs at its best settings: bfloat16 throughout, SDPA, a fused optimiser,
all prompts of a step in one batch, ready token ids, checkpointing only if it must, and both passes of a transformer
as one batch where that is faster.
"""

from __future__ import annotations

import functools
import gc
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from speed import released_networks as networks
from speed import stages
from speed.clock import Measured, Steps, forget_peak, median_seconds
from speed.names import LEFT_OUT
from speed.sd3 import StableDiffusion3
from speed.setup import Setup, Shape

ETA, SCALE, SHIFT, TIMES, TOKENS = 2.0, 1.0, 3.0, 1000, 77
PROMPTS = ("complete", "base", "target", "empty")


class Released:
    """The released step, its passes apart and joined."""

    def __init__(self, setup: Setup):
        assert isinstance(setup.kind, StableDiffusion3), "it is written for Stable Diffusion 3"
        self._setup, self._size = setup, setup.kind
        self._bare = functools.cache(self._bare_seconds)

    @functools.cached_property
    def _step(self) -> ReleasedStep:
        return ReleasedStep(self._size, self._setup.device)

    @staticmethod
    def cases() -> list[tuple[str, str]]:
        """Return the stage and setting of each row."""
        return [(stages.AS_RELEASED, setting) for setting in ("passes apart", "passes joined")]

    def measure(self, stage: str, name: str, shape: Shape) -> tuple[str, Measured]:
        """Return the settings and their figures, the seconds of parts and of bare calls among the details."""
        bare = self._bare(shape)  # first, while there is room
        gc.collect()
        forget_peak(self._setup.device)
        step = self._step
        step.joined = name == "passes joined"
        found = self._run(step, shape)
        if found.note:
            step.trained.enable_gradient_checkpointing()
            found = self._run(step, shape)
            step.trained.disable_gradient_checkpointing()
            return f"{name}, checkpointed", found
        seconds = functools.partial(median_seconds, self._setup.device, shape=shape)
        noised = step.noised(shape.pixels, shape.batch)
        details = {
            "encoders": seconds(lambda: step.noised(shape.pixels, shape.batch)),
            "transformers": seconds(lambda: step.gradient(noised)),
            "bare calls of their class": bare,
        }
        if self._size.left_out:
            details[LEFT_OUT] = self._size.left_out * seconds(lambda: step.layer_of_t5(shape.batch))
        return name, replace(found, details=details)

    def _run(self, step: ReleasedStep, shape: Shape) -> Measured:
        steps = Steps(step.device, shape)

        def work() -> None:
            for _ in range(steps.total):
                step(shape.pixels, shape.batch)
                steps.finished()

        found = replace(steps.measured(work), dtype=step.dtype)
        step.optimiser.zero_grad(set_to_none=True)
        return found

    def _bare_seconds(self, shape: Shape) -> float | None:
        """Time two calls without gradient and two with an adapter and its gradient, as many as a step makes."""
        size, device = self._size, self._setup.device
        network = networks.transformer(size, device)
        random = functools.partial(torch.randn, device=device, dtype=size.dtype)
        given = {
            "hidden_states": random(shape.batch, 16, shape.pixels // 8, shape.pixels // 8),
            "timestep": torch.full((shape.batch,), 500.0, device=device),
            "encoder_hidden_states": random(shape.batch, 2 * TOKENS, network.config.joint_attention_dim),
            "pooled_projections": random(shape.batch, network.config.pooled_projection_dim),
        }
        try:
            with torch.no_grad():
                still = median_seconds(device, lambda: network(**given), shape)
            networks.add_lora(network, size)
            graded = median_seconds(device, lambda: network(**given).sample.float().square().mean().backward(), shape)
        except torch.OutOfMemoryError:
            return None
        return 2 * still + 2 * graded


@dataclass(frozen=True)
class Noised:
    """What the transformers see and what is asked of them.

    Attributes:
        x_t: [B, 16, h, w].
        timestep: [B] in (0, 1000].
        target: x1 - x0, [B, 16, h, w].
        context: [B, 154, D] for each of PROMPTS.
        pooled: [B, P] for each of PROMPTS.
    """

    x_t: Tensor
    timestep: Tensor
    target: Tensor
    context: dict[str, Tensor]
    pooled: dict[str, Tensor]


class ReleasedStep:
    """Everything that a step needs, loaded; calling it takes a step."""

    def __init__(self, size: StableDiffusion3, device: torch.device, joined: bool = False):
        """Load it all; `joined` sends both passes of a transformer through it as one batch."""
        self.size, self.device, self.joined = size, device, joined
        self.trained, self.frozen = networks.transformer(size, device), networks.transformer(size, device)
        self.weights = networks.add_lora(self.trained, size)
        networks.add_lora(self.frozen, size)
        self.frozen.requires_grad_(False)
        self.frozen.disable_adapters()
        self.clips = [networks.clip(shape, size, device) for shape in size.encoders[:2]]
        self.t5 = networks.t5(size.encoders.t5xxl, size, device)
        self.vae = networks.autoencoder(size, device)
        self.optimiser = torch.optim.AdamW(self.weights, 1e-4, (0.9, 0.999), weight_decay=1e-4, fused=True)
        self.generator = torch.Generator(device).manual_seed(0)
        times = torch.linspace(TIMES, 1, TIMES, device=device) / TIMES
        self.sigmas = SHIFT * times / (1 + (SHIFT - 1) * times)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the transformers."""
        return self.frozen.pos_embed.proj.weight.dtype

    def __call__(self, pixels: int, batch: int) -> None:
        """Take a step on random images [B, 3, pixels, pixels]."""
        self.gradient(self.noised(pixels, batch))
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)

    def gradient(self, noised: Noised) -> None:
        """Run the transformers forward and back."""
        self.loss(self.velocities(noised), noised.target).backward()

    @torch.no_grad()
    def noised(self, pixels: int, batch: int) -> Noised:
        """Encode texts and images, and noise the images."""
        context, pooled = self._texts(batch)
        images = torch.rand(batch, 3, pixels, pixels, device=self.device, generator=self.generator) * 2 - 1
        x0 = self.vae.encode(images.to(self.size.dtype)).latent_dist.sample(self.generator)
        x0 = (x0 - self.vae.config.shift_factor) * self.vae.config.scaling_factor
        x1 = torch.randn(x0.shape, device=self.device, dtype=x0.dtype, generator=self.generator)
        u = torch.sigmoid(torch.randn(batch, device=self.device, generator=self.generator))
        sigma = self.sigmas[(u * TIMES).long().clamp(max=TIMES - 1)]
        s = sigma.view(-1, 1, 1, 1).to(x0.dtype)
        return Noised((1 - s) * x0 + s * x1, sigma * TIMES, x1 - x0, context, pooled)

    @torch.no_grad()
    def layer_of_t5(self, batch: int) -> None:
        """Run a T5 of one layer on the rows of a step's prompts; of a T5 of more layers all."""
        rows = torch.randn(4 * batch, TOKENS, self.t5.config.d_model, device=self.device, dtype=self.size.dtype)
        self.t5(inputs_embeds=rows)

    def velocities(self, n: Noised) -> dict[str, Tensor]:
        """Return v for each of PROMPTS: the first two of the trained transformer, the others of the frozen one."""
        out: dict[str, Tensor] = {}
        for network, names in ((self.trained, PROMPTS[:2]), (self.frozen, PROMPTS[2:])):
            for group in [names] if self.joined else [[name] for name in names]:
                k = len(group)
                with torch.set_grad_enabled(network is self.trained):
                    v = network(
                        hidden_states=n.x_t.repeat(k, 1, 1, 1),
                        timestep=n.timestep.repeat(k),
                        encoder_hidden_states=torch.cat([n.context[name] for name in group]),
                        pooled_projections=torch.cat([n.pooled[name] for name in group]),
                    ).sample
                out.update(zip(group, v.chunk(k), strict=True))
        return out

    @staticmethod
    def loss(v: dict[str, Tensor], target: Tensor) -> Tensor:
        """Return L_CC + η L_PureCC with a fixed λ."""
        pure = v["base"] + SCALE * (v["target"] - v["empty"])
        concept = F.mse_loss(v["complete"].float(), target.float())
        return concept + ETA * F.mse_loss(v["complete"].float(), pure.float())

    def _texts(self, batch: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        def ids(encoder) -> Tensor:
            count = encoder.config.vocab_size
            return torch.randint(count, (4 * batch, TOKENS), device=self.device, generator=self.generator)

        encoded = [clip(ids(clip), output_hidden_states=True) for clip in self.clips]
        long, short = self.t5(ids(self.t5))[0], torch.cat([s.hidden_states[-2] for s in encoded], dim=-1)
        context = torch.cat([F.pad(short, (0, long.shape[-1] - short.shape[-1])), long], dim=1)
        pooled = torch.cat([s.text_embeds for s in encoded], dim=-1)
        contexts, vectors = (dict(zip(PROMPTS, rows.chunk(4), strict=True)) for rows in (context, pooled))
        return contexts, vectors
