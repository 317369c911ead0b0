"""The host's own trainer, TrainLoraNode, at its best settings: rank 4, no offloading, checkpointing only if it must."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import torch
from comfy import model_management, utils
from comfy_extras import nodes_train

from speed import checkpoint, stages
from speed.clock import Measured, Parts, Steps, forget_peak
from speed.setup import Setup, Shape

_TYPES = {torch.bfloat16: "bf16", torch.float32: "fp32"}
OnStep = Callable[[], None]
OnBegin = Callable[[Any], None]


def _nothing(guider: Any) -> None:
    pass


class HostNode:
    """TrainLoraNode with its adapters in the weights, its default, and as hooks on the layers ("bypass")."""

    def __init__(self, setup: Setup):
        self._setup = setup
        self._models = checkpoint.models(setup)
        utils.set_progress_bar_enabled(False)  # on the console
        clip, captions = self._models.clip, [c.replace("[v] ", "") for c in stages.CAPTIONS]
        with torch.inference_mode():
            self._positive = [clip.encode_from_tokens_scheduled(clip.tokenize(c)) for c in captions]

    @staticmethod
    def cases() -> list[tuple[str, str]]:
        """Return the stage and setting of each row."""
        return [(stages.ALL_BLOCKS, setting) for setting in ("adapters in weights", "bypass")]

    def measure(self, stage: str, name: str, shape: Shape) -> tuple[str, Measured]:
        """Return the settings and their figures; with checkpointing where memory does not suffice without it, or
        where blocks overwrite what their gradient needs, which PyTorch then refuses."""
        bypass = name == "bypass"
        try:
            found = self._run(bypass, shape, checkpointing=False)
        except RuntimeError as error:
            if "modified by an inplace operation" not in str(error):
                raise
            found = Measured(note="overwritten")
        if not found.note:
            return name, found
        return f"{name}, checkpointed", self._run(bypass, shape, checkpointing=True)

    def train(
        self, bypass: bool, shape: Shape, on_step: OnStep, checkpointing: bool = False, begun: OnBegin = _nothing
    ) -> None:
        """Run the node for as many steps as the shape has; `begun` is called before the first, `on_step` after each."""
        dtype, total = _TYPES[self._setup.kind.dtype], shape.warmup + shape.timed
        values = {"model": self._models.model, "batch_size": shape.batch, "steps": total, "seed": 0}
        values |= {"grad_accumulation_steps": 1, "learning_rate": 1e-4, "rank": 4, "optimizer": "AdamW"}
        values |= {"loss_function": "MSE", "algorithm": "LoRA", "training_dtype": dtype, "lora_dtype": dtype}
        values |= {"gradient_checkpointing": checkpointing, "checkpoint_depth": 2, "offloading": False}
        values |= {"quantized_backward": False, "existing_lora": "[None]", "bucket_mode": False, "bypass_mode": bypass}
        latent = {
            "samples": torch.randn(
                len(stages.CAPTIONS), self._setup.kind.channels, shape.pixels // 8, shape.pixels // 8
            )
        }
        given = {"latents": [latent], "positive": self._positive, **{k: [v] for k, v in values.items()}}
        with _watched(on_step, begun), torch.inference_mode():
            nodes_train.TrainLoraNode.execute(**given)

    def _run(self, bypass: bool, shape: Shape, checkpointing: bool) -> Measured:
        device = self._setup.device
        steps, parts = Steps(device, shape), Parts(device)
        dtypes: list[torch.dtype] = []

        def begun(guider) -> None:
            parts.begin("")
            dtypes.append(guider.inner_model.get_dtype_inference())

        def work() -> None:
            parts.begin("set up")
            self.train(bypass, shape, steps.finished, checkpointing, begun)

        try:
            return replace(steps.measured(work), parts=parts.seconds, dtype=next(iter(dtypes), None))
        finally:
            model_management.unload_all_models()
            gc.collect()
            forget_peak(device)


@contextmanager
def _watched(on_step: OnStep, begun: OnBegin) -> Iterator[None]:
    """Tell when the set-up is over, with the guider, and of the node's steps."""
    sample = nodes_train.TrainSampler.sample

    def sampled(self, guider, *args, **options):
        begun(guider)
        self.optimizer.register_step_post_hook(lambda *_: on_step())
        return sample(self, guider, *args, **options)

    with mock.patch.object(nodes_train.TrainSampler, "sample", sampled):
        yield
