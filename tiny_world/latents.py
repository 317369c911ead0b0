"""Keep encoded scenes on disk in shards, to train the base model; shards may be added while training runs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from random import Random

import torch
from comfy.taesd.taesd import TAESD

from .checkpoints import load_state, save_state
from .renders import render
from .scenes import Scene, sample_scene

SHARD = 1000


def shard_path(folder: Path, index: int) -> Path:
    """Return the file of one shard."""
    return folder / f"{index:04d}.safetensors"


@torch.no_grad()
def produce(autoencoder: TAESD, folder: Path, shards: int) -> None:
    """Write the missing shards: `SHARD` scenes each, and their VAE latents, float16 [SHARD, 16, h, w]."""
    for index in range(shards):
        path = shard_path(folder, index)
        if path.is_file():
            continue
        rng = Random(f"scenes {index}")
        scenes = [sample_scene(rng) for _ in range(SHARD)]
        latents = []
        for start in range(0, SHARD, 20):
            images = render(scenes[start : start + 20]).movedim(-1, 1) * 2 - 1
            latents.append(autoencoder.encode(images).half())
        save_state(path, {"latents": torch.cat(latents), "scenes": [asdict(scene) for scene in scenes]})
        print(f"shard {index}", flush=True)


class LatentPool:
    """All shards that exist at the last call of `refresh`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.latents: list[torch.Tensor] = []
        self.scenes: list[Scene] = []

    def refresh(self) -> int:
        """Load new shards and return the number of images now held."""
        while state := load_state(shard_path(self.folder, len(self.latents))):
            self.latents.append(state["latents"])
            self.scenes += [Scene(**fields) for fields in state["scenes"]]
        return len(self.scenes)

    def batch(self, rng: Random, size: int) -> tuple[torch.Tensor, list[Scene]]:
        """Return random latents [size, 16, h, w] in float32 with their scenes."""
        chosen = [rng.randrange(len(self.scenes)) for _ in range(size)]
        latents = torch.stack([self.latents[i // SHARD][i % SHARD] for i in chosen]).float()
        return latents, [self.scenes[i] for i in chosen]
