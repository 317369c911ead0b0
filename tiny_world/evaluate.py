"""Measure the base model: the probe's agreement on held-out prompts, and the model's habits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

import torch
from PIL import Image

from .captions import caption, phrase
from .individuals import CONCEPT, GENERIC
from .probe import NOTHING, Probe, answers, order
from .renders import render
from .scenes import POSITIONS, Scene, held_out, sample_scene
from .styles import STYLES
from .things import THINGS
from .train_autoencoder import psnr

Generate = Callable[[list[str], list[int]], torch.Tensor]
"""(prompts, seeds) -> VAE latents [N, 16, h, w]."""


def held_out_prompts(count: int) -> list[tuple[str, dict[str, str]]]:
    """Return prompts of the held-out combinations in turn, with the answers that the probe should give.

    All name a style and half a position.
    """
    rng = Random("held out")
    combinations = sorted(held_out())
    rows = []
    for i in range(count):
        thing, colour, background = combinations[i % len(combinations)]
        wanted = {"thing": thing, "colour": colour, "background": background, "style": rng.choice(list(STYLES))}
        if rng.random() < 0.5:
            wanted["position"] = rng.choice(list(POSITIONS))
        rows.append((phrase(**wanted), wanted))
    return rows


def agreement(
    generate: Generate, probe: Probe, count: int, first_seed: int = 1
) -> tuple[dict[str, float], torch.Tensor, list[str]]:
    """Return the fraction of images in which the probe reads what the prompt names, by head.

    Returns:
        (fractions, latents, prompts).
    """
    rows = held_out_prompts(count)
    prompts = [prompt for prompt, _ in rows]
    latents = generate(prompts, list(range(first_seed, first_seed + count)))
    read = probe.read(latents).words
    fractions = {}
    for head in ("thing", "colour", "background", "style", "position"):
        named = [i for i, (_, wanted) in enumerate(rows) if head in wanted]
        fractions[head] = sum(read[head][i] == rows[i][1][head] for i in named) / len(named)
    heads = ("thing", "colour", "background")
    fractions["all three"] = (
        sum(all(read[h][i] == wanted[h] for h in heads) for i, (_, wanted) in enumerate(rows)) / count
    )
    fractions["generic"] = sum(look == GENERIC for look in read["look"]) / count
    fractions["alone"] = sum(other == NOTHING for other in read["companion"]) / count
    return fractions, latents, prompts


def pairs(generate: Generate, probe: Probe, count: int, first_seed: int = 5_000) -> float:
    """Return the fraction of images of two fully named things in which the probe reads everything as named."""
    rng = Random("pairs")
    scenes: list[Scene] = []
    while len(scenes) < count:
        scene = order(sample_scene(rng))
        if scene.companion and (scene.thing, scene.colour) != (scene.companion, scene.companion_colour):
            scenes.append(scene)
    latents = generate([caption(scene) for scene in scenes], list(range(first_seed, first_seed + count)))
    words = probe.read(latents).words
    return sum(all(words[h][i] == a for h, a in answers(s).items()) for i, s in enumerate(scenes)) / count


def habits(generate: Generate, probe: Probe, each: int, first_seed: int = 10_000) -> dict[str, dict[str, float]]:
    """Return what the model generates when the prompt names only the thing: the share of every answer, by head."""
    prompts = [phrase(thing) for thing in THINGS for _ in range(each)]
    read = probe.read(generate(prompts, list(range(first_seed, first_seed + len(prompts))))).words
    shares = {}
    for head in ("colour", "background", "style", "position"):
        shares[head] = {word: n / len(prompts) for word, n in Counter(read[head]).most_common()}
    return shares


@torch.no_grad()
def reconstruction(through: Callable[[torch.Tensor], torch.Tensor], count: int) -> dict[str, float]:
    """Return the autoencoder's PSNR in dB on fresh scenes and on scenes with the concept, which it never trained on.

    `through` encodes and decodes images [N, H, W, 3] in 0..1.
    """
    rng = Random("reconstruction")
    batches = {"scenes": [sample_scene(rng) for _ in range(count)]}
    batches["concept"] = [sample_scene(rng, CONCEPT) for _ in range(count)]
    return {name: psnr(images, through(images)) for name, images in ((n, render(s)) for n, s in batches.items())}


def contact_sheet(images: torch.Tensor, columns: int = 12) -> Image.Image:
    """Tile images [N, H, W, 3]."""
    n, height, width, _ = images.shape
    sheet = Image.new("RGB", (columns * (width + 2), -(-n // columns) * (height + 2)))
    for i, image in enumerate((images * 255).round().byte().numpy()):
        sheet.paste(Image.fromarray(image), (i % columns * (width + 2), i // columns * (height + 2)))
    return sheet
