"""The optimiser of the learner, its rates, and its state as plain tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn

from ..method.recipe import LEARNER
from .average import Average
from .branched_model import BranchedModel
from .settings import Settings


class Optimiser:
    """AdamW on the LEARNER branch and its trained vectors, at the rates of a schedule.

    Args:
        branched: the model and its branches.
        settings: rates, schedule, weight decay.
        averaged: whether the mean of the parameters over the steps is what counts.

    Attributes:
        parameters: what it moves: the LoRA, layer by layer, then the vectors.
    """

    def __init__(self, branched: BranchedModel, settings: Settings, averaged: bool = False):
        weights = branched.branches.parameters(LEARNER)
        embedding = branched.prompting[LEARNER].embedding
        vectors = embedding.trainable if settings.embedding_lr > 0 else []
        groups = [{"params": weights, "lr": settings.lr, "weight_decay": settings.weight_decay}]
        if vectors:
            groups.append({"params": vectors, "lr": settings.embedding_lr, "weight_decay": 0.0})
        make = partial(torch.optim.AdamW, groups, betas=(0.9, 0.999))
        try:
            self._adam = make(fused=True)
        except RuntimeError:  # a device without it
            self._adam = make()
        self._settings = settings
        self._peaks = [group["lr"] for group in self._adam.param_groups]
        self.parameters: list[nn.Parameter] = [*weights, *vectors]
        self._average = Average(self.parameters) if averaged else None

    def clear(self) -> None:
        """Drop all gradients."""
        self._adam.zero_grad(set_to_none=True)

    def step(self, done: int) -> float:
        """Move the parameters after so many finished steps, and return the rate of the LoRA."""
        share = rate(done, self._settings)
        for group, peak in zip(self._adam.param_groups, self._peaks, strict=True):
            group["lr"] = peak * share
        self._adam.step()
        if self._average is not None:
            self._average.add(done + 1)
        return self._adam.param_groups[0]["lr"]

    def shown(self) -> AbstractContextManager[None]:
        """Have the parameters be what counts inside."""
        return nullcontext() if self._average is None else self._average.in_place()

    def finish(self) -> None:
        """Drop all gradients, and have the parameters be what counts from now on."""
        self.clear()
        if self._average is not None:
            self._average.settle()

    def export(self) -> dict[str, Tensor]:
        """Return weights, both moments and step counts on the CPU, each as one tensor over all parameters.

        Returns:
            "weights", "first" and "second", [N] float32, and "counts", [P] float32; -1 for a parameter that never had
            a gradient, whose moments are 0. "average" [N] where the mean counts.
        """
        known = [self._adam.state.get(p) or {} for p in self.parameters]
        out = {"weights": _flat(self.parameters)}
        for name, key in (("first", "exp_avg"), ("second", "exp_avg_sq")):
            pairs = zip(known, self.parameters, strict=True)
            out[name] = _flat([state[key] if state else torch.zeros_like(p) for state, p in pairs])
        if self._average is not None:
            out["average"] = _flat(self._average.values)
        return out | {"counts": torch.tensor([float(state.get("step", -1)) for state in known])}

    @torch.no_grad()
    def load(self, tensors: dict[str, Tensor]) -> None:
        """Continue from what `export` returned.

        Raises:
            ValueError: it is of other parameters.
        """
        sizes = [p.numel() for p in self.parameters]
        mean = [] if self._average is None else ["average"]
        lengths = {name: tensors[name].numel() for name in ("weights", "first", "second", *mean)}
        if set(lengths.values()) != {sum(sizes)} or len(tensors["counts"]) != len(sizes):
            raise ValueError(f"The state is of {lengths['weights']} trained numbers, and this run has {sum(sizes)}.")
        weights, first, second = (
            [part.view_as(p) for part, p in zip(tensors[name].split(sizes), self.parameters, strict=True)]
            for name in ("weights", "first", "second")
        )
        for p, value in zip(self.parameters, weights, strict=True):
            p.copy_(value)
        if self._average is not None:
            self._average.load(tensors["average"].split(sizes))
        moments = zip(tensors["counts"].tolist(), first, second, strict=True)
        state = {
            k: {"step": torch.tensor(count), "exp_avg": one.clone(), "exp_avg_sq": two.clone()}
            for k, (count, one, two) in enumerate(moments)
            if count >= 0
        }
        self._adam.load_state_dict({"state": state, "param_groups": self._adam.state_dict()["param_groups"]})


def rate(done: int, settings: Settings) -> float:
    """Return the rates of the step after so many finished ones, as a share of the peak."""
    if done < settings.warmup:
        return (done + 1) / (settings.warmup + 1)
    if settings.schedule == "constant":
        return 1.0
    fraction = (done - settings.warmup) / max(1, settings.steps - settings.warmup)
    return 1.0 - fraction if settings.schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * fraction))


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    # One by one to the CPU: the device may just have run out of memory.
    return torch.cat([tensor.detach().float().reshape(-1).cpu() for tensor in tensors])
