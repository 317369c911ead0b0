"""A training run as a node makes it: checked, shown on the node, traced to files."""

from __future__ import annotations

from pathlib import Path

import folder_paths
import torch
from comfy.sd import CLIP, VAE
from safetensors.torch import save_file
from torch import Tensor

from ..dataset import ConceptDataset
from ..files import Adapter
from ..overlay import tiled
from ..texts import validate_name
from ..training import History, Step
from .latents import to_pil
from .masking import pictures
from .progress import NodeProgress
from .session import Job, customise


def run(
    model,
    clip: CLIP,
    dataset: ConceptDataset,
    job: Job,
    node_id: str | None,
    title: str,
    vae: VAE | None = None,
    extractor: Adapter | None = None,
) -> tuple[Adapter, dict]:
    """Trains, with progress on a node.

    Returns:
        The adapter, and a LOSS_MAP: "loss" as the host's own nodes have it, and more beside; see `loss_map`.
    """
    validate_name(job.name)
    progress = NodeProgress(node_id, title, job.settings.steps)
    outcome = customise(model, clip, dataset, job, _OnNode(progress, vae), extractor)
    for step, tensors in outcome.traces.items():
        _save_trace(job.name, step, tensors)
    return outcome.adapter, loss_map(title, outcome.history)


def loss_map(title: str, history: History) -> dict:
    """A run's history as a LOSS_MAP."""
    return {
        "loss": history.losses,
        "parts": {k: [s.losses[k] for s in history.steps] for k in history.steps[0].losses},
        "lambda": history.scales,
        "drift": history.drift,
        "title": title,
    }


class _OnNode:
    """Shows a run on a node; samples are decoded with the user's VAE."""

    def __init__(self, progress: NodeProgress, vae: VAE | None):
        self._progress, self._vae = progress, vae

    def say(self, text: str) -> None:
        self._progress.say(text)

    def masks(self, dataset: ConceptDataset) -> None:
        self._progress.advance(0, to_pil(tiled(pictures(dataset))))

    def step(self, step: Step, preview: Tensor | None) -> None:
        picture = None
        if preview is not None and self._vae is not None:
            with torch.inference_mode():
                picture = to_pil(self._vae.decode(preview.clone()))
        self._progress.step(step, picture)


def _save_trace(name: str, step: int, tensors: dict[str, Tensor]) -> None:
    folder = Path(folder_paths.get_output_directory()) / "purecc" / "traces"
    folder.mkdir(parents=True, exist_ok=True)
    number = 1
    while (path := folder / f"{name}_step{step}_{number:03}.safetensors").exists():
        number += 1
    save_file(tensors, path)
