"""The metadata of an adapter: the run that made it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from importlib import metadata as packages
from pathlib import Path
from typing import Any

import comfyui_version
import torch
from comfy.model_patcher import ModelPatcher

from ... import VERSION
from ...adapters import files
from ...adapters.adapter import CARRIED_KEY
from ...adapters.manager_metadata import TrainedOn, manager_metadata
from ...text.texts import prompt
from ...training.companions import described
from ...training.dataset import ConceptDataset
from ...training.history import History
from ..families import family_of
from ..models.carrying import Carried
from .job import Job


def about(
    model: ModelPatcher,
    dataset: ConceptDataset,
    job: Job,
    history: History,
    name: str,
    carried: Carried,
    origin: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """Return the metadata of an adapter.

    Args:
        model: the user's MODEL.
        dataset: the references.
        job: what was trained, resolved.
        history: the steps so far.
        name: of the adapter.
        carried: what stands for [v] in prompts.
        origin: the adapter that training went on from, JSON values.
    """
    family = family_of(model)
    architecture = family.architecture_of(model.model.diffusion_model)
    recipe = {
        **job.recipe.describe(),
        "loss_weighting": job.weighting,
        "lora": asdict(job.lora),
        "settings": {**asdict(job.settings), "pass_limit": job.memory.pass_limit},
        **asdict(job.embedding),
        "precision": job.memory.precision,
        "places": job.references.places,
        "companion": described(job.references.companion),
        "size": job.references.size,
    }
    report = {
        "stage": job.kind,
        "steps": len(history.steps),
        "stopped": history.stopped,
        "seconds": round(history.seconds, 3),
        "losses": history.losses,
        "lambdas": history.scales,
        "drift": history.drift,
        "drift_prompts": job.watch.drift_prompts if history.drift else (),
        "seed": job.settings.seed,
        "resumed": history.resumed,
        "trained_on": origin,
        "rescued": history.rescued,
        "repeatable": not history.rescued,
    }
    versions = {
        "purecc": VERSION,
        "torch": torch.__version__,
        "peft": packages.version("peft"),
        "comfyui": comfyui_version.__version__,
    }
    embedding = carried is not Carried.WORD
    run = files.RunRecord(f"{architecture}/lora", base_name(model), recipe, report, versions, embedding)
    trained = TrainedOn(
        base_file(model).name,
        family.base_version(model.model.diffusion_model),
        [prompt(item.texts.complete, name, embedding) for item in dataset.items],
        [item.weight for item in dataset.items],
        Counter((item.image.shape[1], item.image.shape[0]) for item in dataset.items).most_common(1)[0][0],
    )
    own = files.metadata(name, dataset.concept, [item.texts for item in dataset.items], run)
    return {**own, **manager_metadata(name, trained, _as_kohya(job, history)), CARRIED_KEY: carried.value}


def _as_kohya(job: Job, history: History) -> dict[str, object]:
    """Return a run's settings under the names of kohya's metadata, without their prefix."""
    settings = job.settings
    return {
        "network_dim": job.lora.rank,
        "network_alpha": job.lora.alpha,
        "learning_rate": settings.lr,
        "unet_lr": settings.lr,
        "steps": len(history.steps),
        "max_train_steps": settings.steps,
        "batch_size_per_device": settings.batch,
        "total_batch_size": settings.batch * settings.accumulation,
        "gradient_accumulation_steps": settings.accumulation,
        "lr_scheduler": settings.schedule,
        "lr_warmup_steps": settings.warmup,
        "max_grad_norm": settings.clip,
        "optimizer": f"torch.optim.adamw.AdamW(weight_decay={settings.weight_decay})",
        "seed": settings.seed,
        "training_comment": f"PureCC, {job.recipe.describe()['method']}",
    }


def base_name(model: ModelPatcher) -> str:
    """Return the name of the file that a MODEL came from, or its kind where the loader does not say."""
    return base_file(model).stem


def base_file(model: ModelPatcher) -> Path:
    """Return the path of the file that a MODEL came from, or its kind where the loader does not say."""
    init = model.cached_patcher_init
    if init is not None and init[1] and isinstance(init[1][0], str):
        return Path(init[1][0])
    return Path(type(model.model).__name__)
