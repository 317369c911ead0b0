"""Images of the embedded base and of what is trained on it: guided Euler, the noise fixed by prompt and seed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from purecc_pack.purecc.host.models.field import HostField
from purecc_pack.purecc.network import sampling
from purecc_pack.purecc.network.field import velocities
from purecc_pack.purecc.training.branched_model import BranchedModel

SAMPLING_STEPS, CFG, BATCH = 14, 4.0, 36


@torch.no_grad()
def generate(
    branched: BranchedModel,
    field: HostField,
    branch: str | None,
    texts: Sequence[str],
    image_seed: int,
    numbers: Sequence[int] = (),
    guidance: float = CFG,
) -> Tensor:
    """Return images as VAE latents, [N, 16, h, w].

    Args:
        branched: the model.
        field: its private copy.
        branch: which branch generates.
        texts: N prompts, whose trained tokens are encoded once.
        image_seed: of the noise.
        numbers: of the prompts, which also fix the noise; none: 0 to N - 1.
        guidance: the guidance scale.
    """
    prompting = branched.prompting_of(branch)
    times = branched.field.path.steps(SAMPLING_STEPS).to(branched.field.device)
    numbers = numbers or range(len(texts))
    (empty,) = prompting.conditioner([""])
    out = []
    for start in range(0, len(texts), BATCH):
        chosen = slice(start, start + BATCH)
        prompts = prompting.conditioner(list(texts[chosen]))
        noise = torch.cat([_noise(image_seed, number) for number in numbers[chosen]]).to(times.device)

        def velocity(x: Tensor, t: Tensor, prompts=prompts) -> Tensor:
            both = [*prompts, *[empty] * len(prompts)]
            v, v_empty = velocities(branched.field, torch.cat([x, x]), torch.cat([t, t]), both).chunk(2)
            return sampling.guide(v, v_empty, guidance)

        with branched.branches.use(branch), branched.hooks.use(prompting.embedding.layers):
            out.append(field.latents_out(sampling.sample(velocity, noise, times)).cpu())
    return torch.cat(out)


def _noise(image_seed: int, number: int) -> Tensor:
    generator = torch.Generator().manual_seed(1_000_003 * image_seed + number)
    return torch.randn(1, 16, 12, 12, generator=generator)
