"""A training run as a node makes it: checked, shown on the node, traced to files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path

import folder_paths
import torch
from comfy import model_management
from comfy.sd import CLIP, VAE
from safetensors.torch import save_file
from torch import Tensor

from ..dataset import ConceptDataset
from ..files import Adapter
from ..history import History, Step
from ..overlay import tiled
from ..previews import Preview
from ..recipes import EXTRACTOR, needs
from ..sheets import image
from ..texts import validate_name
from .job import Job, Wishes
from .live import CANCELLED, FAILED, FINISHED, RUNS, STOPPED, About, LiveRun, Sample
from .masking import pictures
from .progress import NodeProgress
from .rescue import dispensable
from .saving import Saver, Saving
from .session import customise
from .showing import send

UNUSED = "The extractor is not used by this method."


def run(
    model,
    clip: CLIP,
    dataset: ConceptDataset,
    job: Job,
    node_id: str | None,
    title: str,
    vae: VAE | None = None,
    extractor: Adapter | None = None,
    saving: Saving | None = None,
    workflow: str | None = None,
) -> tuple[Adapter, dict]:
    """Trains, with progress on a node, live for the browser, and steered from there.

    Args:
        model: MODEL.
        clip: CLIP that belongs to it.
        dataset: the references.
        job: what to train.
        node_id: the node.
        title: of the run.
        vae: draws samples.
        extractor: see `customise`; a method that has no use for it is run without, and the node says so.
        saving: what is written while it trains.
        workflow: the id of the workflow that the node is in.

    Returns:
        The adapter, and a LOSS_MAP: "loss" as the host's own nodes have it, and more beside; see `loss_map`.
    """
    validate_name(job.name)
    saving = saving or Saving()
    saving.check(job.drift_every, job.drift_prompts)
    about = About(node_id, workflow, title, job.name, job.settings.steps, vae is not None)
    live = LiveRun(about, partial(send, "purecc.run"), _memory)
    loras, embeddings = (folder_paths.get_folder_paths(kind)[0] for kind in ("loras", "embeddings"))
    on_node = _OnNode(NodeProgress(node_id, title, job.settings.steps), vae, live)
    steered = _Steered(live, Saver(saving, job.name, loras, embeddings, live))
    RUNS.add(live)
    if extractor is not None and not needs(job.recipe, EXTRACTOR):
        extractor = None
        live.note(UNUSED)
        logging.info("PureCC, %s %r: %s", title, job.name, UNUSED)
    try:
        outcome = customise(model, clip, dataset, job, on_node, extractor, steering=steered)
    except model_management.InterruptProcessingException:
        live.end(CANCELLED)
        raise
    except BaseException as error:
        live.end(FAILED, str(error))
        raise
    live.end(STOPPED if outcome.history.stopped else FINISHED)
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

    def __init__(self, progress: NodeProgress, vae: VAE | None, live: LiveRun):
        self._progress, self._vae, self._live = progress, vae, live
        self._base: list[bytes] | None = None

    def say(self, text: str) -> None:
        self._live.say(text)
        self._progress.say(text)

    def note(self, text: str) -> None:
        self._live.note(text)

    def masks(self, dataset: ConceptDataset) -> None:
        self._progress.advance(0, image(tiled(pictures(dataset))[0]))

    def step(self, step: Step, previews: Sequence[Preview] | None) -> None:
        if previews is not None and self._vae is not None:
            with dispensable(f"no samples were drawn at step {step.number}", self.note):
                self._base = self._base or [self._jpeg(p.base) for p in previews]
                told = zip(previews, self._base, strict=True)
                self._live.sample([Sample(step.number, p.prompt, p.seed, b, self._jpeg(p.current)) for p, b in told])
        self._live.step(step)
        self._progress.step(step)

    def _jpeg(self, latent: Tensor) -> bytes:
        out = BytesIO()
        with torch.inference_mode():
            image(self._vae.decode(latent.clone())[0]).save(out, "JPEG", quality=90)
        return out.getvalue()


class _Steered:
    """Passes on what was asked for in the browser."""

    def __init__(self, live: LiveRun, saver: Saver):
        self._live, self._saver = live, saver

    def wishes(self) -> Wishes:
        granted = self._live.granted("stop", "sample")
        return Wishes("stop" in granted, "sample" in granted)

    def keep(self, step: Step, adapter: Callable[[str], Adapter]) -> None:
        self._saver.after(step, bool(self._live.granted("save")), adapter)


def _memory() -> tuple[int, int]:
    """Bytes used, and in all, of the device that trains."""
    device = model_management.get_torch_device()
    total = model_management.get_total_memory(device)
    return int(total - model_management.get_free_memory(device)), int(total)


def _save_trace(name: str, step: int, tensors: dict[str, Tensor]) -> None:
    folder = Path(folder_paths.get_output_directory()) / "purecc" / "traces"
    folder.mkdir(parents=True, exist_ok=True)
    number = 1
    while (path := folder / f"{name}_step{step}_{number:03}.safetensors").exists():
        number += 1
    save_file(tensors, path)
