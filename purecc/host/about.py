"""What an adapter's metadata says of the run that made it."""

from __future__ import annotations

from dataclasses import asdict
from importlib import metadata as packages
from pathlib import Path

import comfyui_version
import torch

from .. import VERSION, files
from ..dataset import ConceptDataset
from ..history import History
from ..recipes import describe


def about(model, dataset: ConceptDataset, job, history: History) -> dict[str, str]:
    """Metadata of the adapter that a job left."""
    network = model.model.diffusion_model
    family = "stable-diffusion-v3.5-medium" if network.x_block_self_attn_layers else "stable-diffusion-v3-medium"
    recipe = {
        **describe(job.recipe),
        "lora": asdict(job.lora),
        "settings": asdict(job.settings),
        "input_token": job.input_token,
        "layer_wise": job.layer_wise,
        "precision": job.precision,
    }
    report = {
        "stage": job.kind,
        "steps": len(history.steps),
        "stopped": history.stopped,
        "seconds": round(history.seconds, 3),
        "losses": history.losses,
        "lambdas": history.scales,
        "drift": history.drift,
        "drift_prompts": job.drift_prompts if history.drift else (),
        "seed": job.settings.seed,
    }
    return files.metadata(
        job.name,
        architecture=f"{family}/lora",
        base_model=base_name(model),
        class_word=dataset.class_word,
        concept=dataset.kind,
        recipe=recipe,
        texts=[item.texts for item in dataset.items],
        report=report,
        versions={
            "purecc": VERSION,
            "torch": torch.__version__,
            "peft": packages.version("peft"),
            "comfyui": comfyui_version.__version__,
        },
    )


def base_name(model) -> str:
    """The file a MODEL came from, or its kind where the loader does not say."""
    init = model.cached_patcher_init
    if init is not None and init[1] and isinstance(init[1][0], str):
        return Path(init[1][0]).stem
    return type(model.model).__name__
