"""The host's own TrainLoraNode at its best settings, to stand beside our stage 1."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from unittest import mock

import torch
from comfy import model_management, utils
from comfy_extras import nodes_train

from speed import clock, memory, stages
from speed.measured import Measured, Shape, attempted
from speed.sizes import Size
from speed.world import References, World

SETTINGS = {"adapters in weights": False, "bypass": True}
"""By name: whether adapters are hooks on the layers' outputs."""

_TYPES = {torch.bfloat16: "bf16", torch.float32: "fp32"}


def measure(
    world: World, shapes: Sequence[Shape], names: Sequence[str], wanted: Callable[[str, Shape], bool]
) -> Iterator[tuple[str, Shape, Measured]]:
    """The rows that are wanted in the named SETTINGS, as (settings, shape, run).

    No checkpointing unless memory asks for it, no offloading, rank 4.
    """
    models, built, size = world.models, world.built, world.size
    utils.set_progress_bar_enabled(False)  # which would be one on the console
    captions = [c.replace("[v] ", "") for c in stages.CAPTIONS]
    with torch.inference_mode():
        positive = [models.clip.encode_from_tokens_scheduled(models.clip.tokenize(c)) for c in captions]
    for shape in shapes:
        for settings in names:
            if not wanted(settings, shape):
                continue
            found = _run(models, built[shape.pixels], positive, size, shape, SETTINGS[settings], False)
            if found.note:
                found = _run(models, built[shape.pixels], positive, size, shape, SETTINGS[settings], True)
                settings = f"{settings}, checkpointed"
            yield settings, shape, found


def _run(
    models, references: References, positive, size: Size, shape: Shape, bypass: bool, checkpointing: bool
) -> Measured:
    device = models.model.load_device
    steps, parts = clock.Steps(device, shape.warmup, shape.timed), clock.Parts(device)
    values = {
        "model": models.model,
        "batch_size": shape.batch,
        "steps": steps.total,
        "grad_accumulation_steps": 1,
        "learning_rate": 1e-4,
        "rank": 4,
        "optimizer": "AdamW",
        "loss_function": "MSE",
        "seed": 0,
        "training_dtype": _TYPES[size.dtype],
        "lora_dtype": _TYPES[size.dtype],
        "quantized_backward": False,
        "algorithm": "LoRA",
        "gradient_checkpointing": checkpointing,
        "checkpoint_depth": 2,
        "offloading": False,
        "existing_lora": "[None]",
        "bucket_mode": False,
        "bypass_mode": bypass,
    }
    samples = torch.cat([i.latents[:1] for i in references.dataset.items])
    listed, dtypes = {k: [v] for k, v in values.items()}, [None]

    def work() -> None:
        parts.begin("set up")
        with _following(steps, parts, dtypes), torch.inference_mode():
            nodes_train.TrainLoraNode.execute(latents=[{"samples": samples}], positive=positive, **listed)

    try:
        found = attempted(steps, work, parts.seconds)
        return replace(found, dtype=dtypes[-1])
    finally:
        model_management.unload_all_models()
        gc.collect()
        memory.forget_peak(device)


@contextmanager
def _following(steps: clock.Steps, parts: clock.Parts, dtypes: list[torch.dtype | None]) -> Iterator[None]:
    """Tells when the node's first step begins, what it computes in, and when each of its steps is done."""
    sample = nodes_train.TrainSampler.sample

    def begun(self, guider, *args, **options):
        dtypes.append(guider.inner_model.get_dtype_inference())
        self.optimizer.register_step_post_hook(lambda *_: steps.finished())
        parts.end()
        steps.begin()
        return sample(self, guider, *args, **options)

    with mock.patch.object(nodes_train.TrainSampler, "sample", begun):
        yield
