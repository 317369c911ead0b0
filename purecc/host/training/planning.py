"""Plans how a run fits into memory, by a dry run on the meta device, and how long it takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import torch
from comfy import model_management
from torch import Tensor

from ...method.recipe import BASE, LEARNER
from ...network.field import Conditioner
from ...training.branched_model import BranchedModel
from ...training.dataset import ConceptDataset
from ...training.live_bytes import LiveBytes
from ...training.memory_plan import Demand, Plan, choose, samples
from ..messages import Message, Phase
from ..models.field import HostField
from .assembly import Assembly
from .dry_run import DryRun, Uncountable
from .job import Job
from .listener import Listener
from .out_of_memory import OutOfMemory

CHECKPOINTING = ("auto", "off", "all")

TRIED = 0.1
"""Share of the memory that a plan may need too much and is tried all the same: what it needs is an estimate."""

TOO_SMALL = (
    "Training needs about {needs} GB of GPU memory and there are {has} GB, with every block checkpointed and as many "
    "weights as possible kept outside of the GPU. Use a smaller resolution in Concept Dataset, batch_size 1, or "
    "target_layers with fewer layers (attention); or close other programs that use the GPU."
)


def planned(assembly: Assembly, dataset: ConceptDataset, job: Job) -> Plan:
    """Return the plan of a job for the memory that is free now; put its checkpointing and its weights in place.

    On the CPU the plan is as the job says, "auto" meaning "off".

    Args:
        assembly: what takes part.
        dataset: the references.
        job: what to train.

    Raises:
        OutOfMemory: the smallest plan needs far more than there is.
    """
    plan = _chosen(assembly, dataset, job)
    needs, has = plan.needs or 0, plan.has
    if has is not None and job.memory.checkpointing == "auto" and needs > has * (1 + TRIED):
        raise OutOfMemory(TOO_SMALL.format(needs=_gigabytes(needs), has=_gigabytes(has)))
    assembly.field.checkpointing.first(plan.count)
    if plan.needs is not None and plan.reserve != assembly.loader.reserve:
        assembly.loader.reserve = plan.reserve
        assembly.load()
    if model_management.is_device_cpu(assembly.field.device):
        return plan
    return replace(plan, elsewhere=assembly.loader.weights()[1])


@torch.no_grad()
def timed(plan: Plan, assembly: Assembly, dataset: ConceptDataset, job: Job) -> Plan:
    """Return the plan with the estimated time of the steps, from two passes of the learner and two of the base.

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
        float(assembly.branched.run(branch, x_t, t, [text] * count).sum())  # which waits for the device
        return (time.perf_counter() - began) / count

    # The faster of two: kernels are loaded in the first.
    graded = min(seconds(LEARNER, item.texts.complete) for _ in range(2))
    still = min(seconds(BASE, item.texts.base) for _ in range(2))
    return plan.lasting(settings.steps, settings.batch * settings.accumulation, job.recipe, graded, still)


def tell(plan: Plan, listener: Listener) -> None:
    """Tell a listener that training begins, and what the plan says of memory."""
    minutes = max(1, round((plan.seconds or 0) / 60))
    listener.phase(Phase.TRAIN, checkpointed=plan.count, blocks=plan.blocks, minutes=minutes)
    if plan.uncounted:
        listener.note(Message("note_memory_uncounted", {"checkpointed": plan.count, "blocks": plan.blocks}))
    if plan.has is not None:
        listener.note(Message("note_memory_short", {"needs": _gigabytes(plan.needs), "has": _gigabytes(plan.has)}))
    elif plan.needs is not None:
        listener.note(Message("note_memory", {"needs": _gigabytes(plan.needs)}))
    if _gigabytes(plan.elsewhere):
        listener.note(Message("note_weights_elsewhere", {"gigabytes": _gigabytes(plan.elsewhere)}))
    if plan.pass_limit is not None:
        listener.note(Message("note_pass_limit", {"samples": plan.pass_limit}))


def give_way(assembly: Assembly, listener: Listener) -> bool:
    """Take weights off the device, so that passes have more of it, and tell; return False where none is left to take.

    Raises:
        OutOfMemory: see `Assembly.load`.
    """
    if not assembly.loader.give_way():
        return False
    assembly.load()
    listener.note(Message("note_weights_elsewhere", {"gigabytes": _gigabytes(assembly.loader.weights()[1])}))
    return True


def _gigabytes(count: int | None) -> float:
    return round((count or 0) / 1e9, 1)


def _chosen(assembly: Assembly, dataset: ConceptDataset, job: Job) -> Plan:
    field = assembly.field
    field.checkpointing.first(0)
    blocks, limit = len(field.text_blocks), job.memory.pass_limit
    count: int | None = {"auto": None, "off": 0, "all": blocks}[job.memory.checkpointing]
    if model_management.is_device_cpu(field.device):
        return Plan(count or 0, blocks, limit)
    try:
        asked = demand(field, assembly.branched, dataset, job)
    except Uncountable as error:
        return Plan(blocks if count is None else count, blocks, limit, uncounted=str(error))
    resident, elsewhere = assembly.loader.weights()
    able, fetched = assembly.loader.streamable(field.dtype)
    asked = replace(asked, resident=resident, elsewhere=elsewhere, streamable=able, fetched=fetched)
    return choose(asked, int(model_management.get_free_memory(field.device)), count, limit)


def demand(field: HostField, branched: BranchedModel, dataset: ConceptDataset, job: Job) -> Demand:
    """Return what a job needs of memory at its largest images, but for weights.

    Only prompts with the trained token are computed.

    Args:
        field: the private copy, no block of it checkpointed.
        branched: what takes part.
        dataset: the references.
        job: what to train.

    Raises:
        Uncountable: a pass cannot run without data.
    """
    shape = max((tuple(i.latents.shape[1:]) for i in dataset.items), key=lambda s: s[1] * s[2])
    graded, still = samples(job.recipe, job.settings.batch)
    learner = branched.prompting[LEARNER]
    texts = list(dict.fromkeys(i.texts.complete for i in dataset.items))
    with branched.branches.use(LEARNER):
        dry = DryRun(field, shape, learner.conditioner(texts[:1])[0], learner.embedding.layers)
    footprint = dry.footprint(graded)
    encoding = _encoding(learner.conditioner, texts[: job.settings.batch])
    footprint = replace(footprint, outside=footprint.outside + encoding)
    trained = [*branched.branches.parameters(LEARNER), *learner.embedding.trainable]
    # a gradient, AdamW's two moments, and the mean
    state = (3 + job.recipe.averaged) * sum(w.nbytes for w in trained)
    return Demand(footprint, still, -(-dry.still(still) // max(1, still)), state, 0)


def _encoding(conditioner: Conditioner, texts: Sequence[str]) -> int:
    """Return the bytes that the encoders of a trained token keep for these texts."""
    with LiveBytes() as live:
        encoded = conditioner(texts)
        # Sums hold what is kept, and not the result.
        trained = [v for y in encoded for v in (y.context, *y.fields[0].values()) if isinstance(v, Tensor)]
        graph = [tensor.sum() for tensor in trained]
        del trained
        del encoded
        kept = live.live
    del graph
    return kept
