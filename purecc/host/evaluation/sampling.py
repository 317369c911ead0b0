"""Generate a protocol's images with the host's stock sampling, by a base model and customised ones."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import comfy.sample
import comfy.samplers
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ...evaluation.pictures import ProtocolPictures, ProtocolPrompt, worded
from ...sheets.canvas import image
from ...text.letters import check_letters
from ...text.spelling import quoted
from ..models.host_models import HostModels
from ..room import check_memory
from ..ui.node_progress import NodeProgress

SAMPLERS: list[str] = comfy.samplers.KSampler.SAMPLERS
SCHEDULERS: list[str] = comfy.samplers.KSampler.SCHEDULERS


@dataclass(frozen=True)
class Sampling:
    """Settings of the stock KSampler.

    Attributes:
        steps: sampling steps.
        cfg: classifier-free guidance.
        sampler: a name of the host's.
        scheduler: a name of the host's.
        width: in pixels.
        height: in pixels.
        negative: the negative prompt.
        batch: images in one pass of the model.
    """

    steps: int = 28
    cfg: float = 4.5
    sampler: str = "euler"
    scheduler: str = "sgm_uniform"
    width: int = 1024
    height: int = 1024
    negative: str = ""
    batch: int = 4


@dataclass(frozen=True)
class Protocol:
    """Prompts, seeds and settings to generate with every model.

    Attributes:
        prompts: P prompts, with and without the concept.
        seeds: S seeds.
        sampling: of each image.
    """

    prompts: Sequence[ProtocolPrompt]
    seeds: Sequence[int]
    sampling: Sampling

    @property
    def image_bytes(self) -> int:
        """Bytes of the images of one model."""
        return len(self.prompts) * len(self.seeds) * self.sampling.width * self.sampling.height * 12

    @property
    def steps(self) -> int:
        """Sampling steps of one image that one model takes for all of it, P · S · steps."""
        return len(self.prompts) * len(self.seeds) * self.sampling.steps


@dataclass(frozen=True)
class Customised:
    """A customised model.

    Attributes:
        name: for display.
        models: MODEL and CLIP.
        trigger: replaces [v] in its prompts, see `worded`; None: it gets the base texts.
    """

    name: str
    models: HostModels
    trigger: str | None


def empty_latent(model: ModelPatcher, width: int, height: int, batch: int = 1) -> Tensor:
    """Return zeros [B, C, h, w] or [B, C, 1, h, w]: the stock empty latent, fitted to a model as samplers do."""
    return comfy.sample.fix_empty_latent_channels(model, torch.zeros(batch, 4, height // 8, width // 8), 8)


def sample(
    base: HostModels, customised: Sequence[Customised], protocol: Protocol, progress: NodeProgress
) -> list[ProtocolPictures]:
    """Generate every prompt at every seed with each customised model, and once with the base.

    An image is the one that the stock KSampler gives for that prompt and seed alone, unless the sampler adds noise.

    Args:
        base: MODEL, CLIP and VAE; gets the base texts.
        customised: get the complete texts; the base's VAE decodes their latents.
        protocol: what to generate.
        progress: on the node; advances by `Protocol.steps` for every model.

    Raises:
        ValueError: a prompt or trigger cannot be used, negative is too long, a customised CLIP does not know the
            embedding of its trigger, or the images do not fit into memory; before anything is generated.
    """
    models, prompts, seeds = 1 + len(customised), len(protocol.prompts), len(protocol.seeds)
    check_memory(
        f"The images of {models} models for {prompts} prompts at {seeds} seeds",
        models * protocol.image_bytes,
        "Use fewer prompts or seeds, or smaller images.",
    )
    check_letters(protocol.sampling.negative, f"negative, {quoted(protocol.sampling.negative, 40)},")
    texts = [_texts(base, c, protocol.prompts) for c in customised]
    plain = [worded(p.base, "x") for p in protocol.prompts]
    of_base = _rows("base model", base, base.vae, plain, protocol, progress)
    out = []
    for c, own in zip(customised, texts, strict=True):
        rows = _rows(c.name, c.models, base.vae, own, protocol, progress)
        settings = {**asdict(protocol.sampling), "trigger": c.trigger}
        out.append(ProtocolPictures(tuple(protocol.prompts), tuple(protocol.seeds), of_base, rows, settings))
    return out


def _texts(base: HostModels, customised: Customised, prompts: Sequence[ProtocolPrompt]) -> list[str]:
    """Return the prompts of a customised model, after checking that it can use them."""
    _check_vae(base, customised.models)
    trigger = customised.trigger
    if trigger is None:
        return [worded(p.base, "x") for p in prompts]
    texts = [worded(p.complete, trigger) for p in prompts]
    concept = next(text for text, p in zip(texts, prompts, strict=True) if p.names_concept)
    if "embedding:" in concept and not _knows(customised.models.clip, concept):
        raise ValueError(
            f"The customised CLIP does not know {trigger}. Connect the CLIP that Apply Adapter gives, or write the "
            "name under which the concept was trained or saved."
        )
    return texts


def _rows(
    name: str, models: HostModels, vae, texts: Sequence[str], protocol: Protocol, progress: NodeProgress
) -> Tensor:
    """Return one model's images, [P, S, H, W, 3]."""
    progress.say(f"reading the prompts for the {name}")
    clip, rows = models.clip, []
    positive = [clip.encode_from_tokens_scheduled(clip.tokenize(text)) for text in texts]
    negative = clip.encode_from_tokens_scheduled(clip.tokenize(protocol.sampling.negative))
    for number, cond in enumerate(positive, start=1):
        progress.say(f"{name}, prompt {number} of {len(texts)}")
        rows.append(_row(models.model, vae, (cond, negative), protocol, progress))
    return torch.stack(rows)


def _row(model: ModelPatcher, vae, conditioning: tuple, protocol: Protocol, progress: NodeProgress) -> Tensor:
    """Return one prompt's images at all seeds, [S, H, W, 3]."""
    out, how = [], protocol.sampling
    for start in range(0, len(protocol.seeds), how.batch):
        seeds = protocol.seeds[start : start + how.batch]
        count = len(seeds)
        latent = empty_latent(model, how.width, how.height, count)
        noise = torch.cat([comfy.sample.prepare_noise(latent[:1], seed) for seed in seeds])
        sampled = comfy.sample.sample(
            model, noise, how.steps, how.cfg, how.sampler, how.scheduler, *conditioning, latent,
            callback=lambda *_, n=count: progress.advance(n), disable_pbar=True, seed=seeds[0],
        )  # fmt: skip
        images = vae.decode(sampled)
        images = images.reshape(-1, *images.shape[-3:])[..., :3].float().cpu().clamp(0, 1)
        progress.advance(0, image(images[0]))
        out.append(images)
    return torch.cat(out)


def _check_vae(base: HostModels, customised: HostModels) -> None:
    ours, theirs = (m.model.get_model_object("latent_format").latent_channels for m in (base, customised))
    if ours != theirs:
        raise ValueError(
            f"The base model's latents have {ours} channels and the customised model's {theirs}. Connect the base "
            "model that the customised one was made from."
        )
    if base.vae is None or base.vae.latent_channels != ours:
        known = "no VAE is connected" if base.vae is None else f"the VAE decodes {base.vae.latent_channels}"
        raise ValueError(f"The models' latents have {ours} channels and {known}. Connect the VAE that belongs to them.")


def _knows(clip, text: str) -> bool:
    """Return whether the text's embedding was found: its tokens are then vectors, not numbers."""
    found = [chunk for chunks in clip.tokenize(text).values() for chunk in chunks]
    return any(not isinstance(token[0], numbers.Integral) for chunk in found for token in chunk)
