"""What a run will need of memory, counted in a dry run on the meta device, and of time, and the plan that fits."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import torch
from comfy import model_management
from torch import nn

from ..dataset import ConceptDataset
from ..field import Conditioner
from ..live_bytes import LiveBytes
from ..plan import Demand, Plan, choose, samples
from ..recipes import BASE, LEARNER
from ..trainee import Trainee
from .assembly import Assembly
from .dry_run import DryRun
from .field import HostField
from .job import Job

CHECKPOINTING = ("auto", "off", "all")


def planned(assembly: Assembly, dataset: ConceptDataset, job: Job) -> Plan:
    """The plan of a job on what memory there is now, its checkpointing put in place.

    On the CPU it is as the job says, "auto" being "off".

    Args:
        assembly: what takes part.
        dataset: the references.
        job: what to train.
    """
    plan = _chosen(assembly, dataset, job)
    assembly.field.checkpointing.first(plan.count)
    return plan


@torch.no_grad()
def timed(plan: Plan, assembly: Assembly, dataset: ConceptDataset, job: Job) -> Plan:
    """The plan with about how long the steps will take, from two passes of the learner and two of the base.

    Args:
        plan: of the job.
        assembly: what takes part.
        dataset: the references, the first of which is timed.
        job: what to train.
    """
    item, settings = dataset.items[0], job.settings
    count = min(settings.batch, plan.pass_limit or settings.batch)
    x_t = torch.zeros(count, *item.latents.shape[1:], device=assembly.field.device)
    t = torch.full((count,), 0.5, device=assembly.field.device)

    def seconds(branch: str | None, text: str) -> float:
        began = time.perf_counter()
        float(assembly.trainee.run(branch, x_t, t, [text] * count).sum())  # which waits for the device
        return (time.perf_counter() - began) / count

    # The faster of two: kernels are loaded in the first.
    graded = min(seconds(LEARNER, item.texts.complete) for _ in range(2))
    still = min(seconds(BASE, item.texts.base) for _ in range(2))
    return plan.lasting(settings.steps, settings.batch * settings.accumulation, job.recipe, graded, still)


def _chosen(assembly: Assembly, dataset: ConceptDataset, job: Job) -> Plan:
    field, encoder = assembly.field, assembly.encoder
    field.checkpointing.first(0)
    blocks, limit = len(field.text_blocks), job.settings.pass_limit
    count = {"auto": None, "off": 0, "all": blocks}[job.checkpointing]
    if model_management.is_device_cpu(field.device):
        return Plan(count or 0, blocks, limit)
    modules = [field.base] if encoder is None else [field.base, encoder.model]
    asked = demand(field, assembly.trainee, dataset, job, *_weights(modules, field.device))
    return choose(asked, int(model_management.get_free_memory(field.device)), count, limit)


def demand(
    field: HostField, trainee: Trainee, dataset: ConceptDataset, job: Job, resident: int = 0, elsewhere: int = 0
) -> Demand:
    """What a job asks of memory at its largest pictures; nothing is computed but prompts with the trained token.

    Args:
        field: the private copy, no block of it checkpointed.
        trainee: what takes part.
        dataset: the references.
        job: what to train.
        resident: bytes of weights on the device.
        elsewhere: bytes of weights that are not.
    """
    shape = max((tuple(i.latents.shape[1:]) for i in dataset.items), key=lambda s: s[1] * s[2])
    graded, still = samples(job.recipe, job.settings.batch)
    learner = trainee.speakers[LEARNER]
    texts = list(dict.fromkeys(i.texts.complete for i in dataset.items))
    with trainee.branches.use(LEARNER):
        dry = DryRun(field, shape, learner.conditioner(texts[:1])[0], learner.embedding.layers)
    footprint = dry.footprint(graded)
    encoding = _encoding(learner.conditioner, texts[: job.settings.batch])
    footprint = replace(footprint, outside=footprint.outside + encoding)
    trained = [*trainee.branches.parameters(LEARNER), *learner.embedding.trainable]
    state = 3 * sum(w.nbytes for w in trained)  # a gradient, and AdamW's two moments
    return Demand(footprint, still, -(-dry.still(still) // max(1, still)), state, resident, elsewhere)


def _weights(modules: Sequence[nn.Module], device: torch.device) -> tuple[int, int]:
    """Bytes of weights on a device, and of those that are not; the host leaves some where it was started so."""
    weights = [w for m in modules for w in (*m.parameters(), *m.buffers())]
    there = sum(w.nbytes for w in weights if w.device.type == device.type)
    return there, sum(w.nbytes for w in weights) - there


def _encoding(conditioner: Conditioner, texts: Sequence[str]) -> int:
    """Bytes that the encoders of a trained token keep for these texts."""
    with LiveBytes() as live:
        said = conditioner(texts)
        # Sums hold what is kept, and not the result.
        graph = [tensor.sum() for y in said for tensor in (y.context, *y.fields.values())]
        del said
        kept = live.live
    del graph
    return kept
