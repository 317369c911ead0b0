"""A protocol's pictures, drawn by the host's stock sampling with a base model and customised ones."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import comfy.sample
import comfy.samplers
import torch
from torch import Tensor

from ..protocol.pictures import ProtocolPictures, ProtocolPrompt, worded
from ..sheets import image
from .progress import NodeProgress


@dataclass(frozen=True)
class Sampling:
    """How a picture is drawn, as the stock KSampler is told.

    Attributes:
        steps: of the sampler.
        cfg: guidance.
        sampler: a name of the host's.
        scheduler: a name of the host's.
        width: in pixels.
        height: in pixels.
        negative: the negative prompt.
        batch: pictures in one pass of the model.
    """

    steps: int = 28
    cfg: float = 4.5
    sampler: str = "euler"
    scheduler: str = "sgm_uniform"
    width: int = 1024
    height: int = 1024
    negative: str = ""
    batch: int = 4


def empty_latent(model, width: int, height: int, batch: int = 1) -> Tensor:
    """Zeros [B, C, h, w] (or [B, C, 1, h, w]): the host's stock empty latent, fitted to a model as its samplers do."""
    return comfy.sample.fix_empty_latent_channels(model, torch.zeros(batch, 4, height // 8, width // 8), 8)


@dataclass(frozen=True)
class Customised:
    """A customised model and how its concept is called.

    Attributes:
        name: for the eye.
        model: MODEL.
        clip: CLIP.
        trigger: stands for [v] in its prompts, see `worded`; None: nothing does, it is given the base texts.
    """

    name: str
    model: object
    clip: object
    trigger: str | None


def draw(
    base: tuple,
    customised: Sequence[Customised],
    vae,
    prompts: Sequence[ProtocolPrompt],
    seeds: Sequence[int],
    sampling: Sampling,
    progress: NodeProgress,
) -> list[ProtocolPictures]:
    """Pictures of every prompt at every seed, for each customised model beside the same ones of the base.

    A picture is what the stock KSampler draws for that prompt and seed alone, if the sampler draws no noise of its own.

    Args:
        base: (MODEL, CLIP), draws the base texts.
        customised: draw the complete texts.
        vae: VAE.
        prompts: P of them.
        seeds: S of them.
        sampling: how.
        progress: on the node; its parts are sampling steps of one picture, P · S · steps for every model.

    Raises:
        ValueError: a prompt or a trigger cannot be used, or a customised CLIP does not know the embedding that its
            trigger names; before anything is drawn.
    """
    known = [_texts(base, c, vae, prompts) for c in customised]
    plain = [worded(p.base, "x") for p in prompts]
    drawn = _rows("base model", *base, vae, plain, seeds, sampling, progress)
    out = []
    for c, texts in zip(customised, known, strict=True):
        rows = _rows(c.name, c.model, c.clip, vae, texts, seeds, sampling, progress)
        settings = {**asdict(sampling), "trigger": c.trigger}
        out.append(ProtocolPictures(tuple(prompts), tuple(seeds), drawn, rows, settings))
    return out


def _texts(base: tuple, customised: Customised, vae, prompts: Sequence[ProtocolPrompt]) -> list[str]:
    """The prompts of a customised model, once it is known that it can be given them."""
    _check_vae(base[0], customised.model, vae)
    trigger = customised.trigger
    if trigger is None:
        return [worded(p.base, "x") for p in prompts]
    texts = [worded(p.complete, trigger) for p in prompts]
    concept = next(text for text, p in zip(texts, prompts, strict=True) if p.names_concept)
    if "embedding:" in concept and not _knows(customised.clip, concept):
        raise ValueError(
            f"The customised CLIP does not know {trigger}: connect the CLIP that Apply Adapter gives, or write the "
            "name under which the concept was trained or saved."
        )
    return texts


def _rows(name: str, model, clip, vae, texts: Sequence[str], seeds, sampling: Sampling, progress) -> Tensor:
    """[P, S, H, W, 3], one model's pictures."""
    progress.say(f"reading the prompts for the {name}")
    positive = [clip.encode_from_tokens_scheduled(clip.tokenize(text)) for text in texts]
    negative = clip.encode_from_tokens_scheduled(clip.tokenize(sampling.negative))
    rows = []
    for number, cond in enumerate(positive, start=1):
        progress.say(f"{name}, prompt {number} of {len(texts)}")
        rows.append(_row(model, vae, cond, negative, seeds, sampling, progress))
    return torch.stack(rows)


def _check_vae(base, customised, vae) -> None:
    channels = [m.get_model_object("latent_format").latent_channels for m in (base, customised)]
    if channels[0] != channels[1]:
        raise ValueError(
            f"The base model's latents have {channels[0]} channels and the customised model's {channels[1]}: connect "
            "the base model that the customised one was made from."
        )
    if vae.latent_channels != channels[0]:
        raise ValueError(
            f"The VAE decodes latents of {vae.latent_channels} channels and the models make {channels[0]}: connect the "
            "VAE that belongs to them."
        )


def _row(model, vae, positive, negative, seeds, sampling: Sampling, progress: NodeProgress) -> Tensor:
    """[S, H, W, 3], one prompt at all seeds."""
    out = []
    for start in range(0, len(seeds), sampling.batch):
        some = seeds[start : start + sampling.batch]
        latent = empty_latent(model, sampling.width, sampling.height, len(some))
        noise = torch.cat([comfy.sample.prepare_noise(latent[:1], seed) for seed in some])
        count = len(some)
        drawn = comfy.sample.sample(
            model, noise, sampling.steps, sampling.cfg, sampling.sampler, sampling.scheduler, positive, negative,
            latent, callback=lambda *_, n=count: progress.advance(n), disable_pbar=True, seed=some[0],
        )  # fmt: skip
        pictures = vae.decode(drawn)
        pictures = pictures.reshape(-1, *pictures.shape[-3:])[..., :3].float().cpu().clamp(0, 1)
        progress.advance(0, image(pictures[0]))
        out.append(pictures)
    return torch.cat(out)


def _knows(clip, text: str) -> bool:
    """Whether the text's embedding was found: it then stands among the tokens as vectors, not as a number."""
    found = [chunk for chunks in clip.tokenize(text).values() for chunk in chunks]
    return any(not isinstance(token[0], numbers.Integral) for chunk in found for token in chunk)
