"""NaN and infinity in one number of every class of tensor that a run reads, and in its settings."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import partial
from random import Random
from typing import Any

import runs
import torch

from faults import world
from faults.judge import EITHER, Seen

LIMIT = 120.0
"""Seconds that one fault may take."""

VALUES = {"NaN": float("nan"), "inf": float("inf"), "-inf": float("-inf")}


@contextmanager
def spoilt(tensor: torch.Tensor, place: int, value: float) -> Iterator[None]:
    """Put a value into one number of a tensor, and take it out again."""
    with torch.inference_mode(), torch.no_grad():
        flat = tensor.view(-1)
        place %= flat.numel()
        kept = flat[place].clone()
        flat[place] = value
    try:
        yield
    finally:
        with torch.inference_mode(), torch.no_grad():
            flat[place] = kept


def _copied(tensor: torch.Tensor, place: int, value: float) -> torch.Tensor:
    out = tensor.detach().clone().contiguous()
    out.view(-1)[place % out.numel()] = value
    return out


class Spoiler:
    """Runs with one number spoilt, class by class."""

    def __init__(self, bench: world.World, random: Random):
        self.bench, self.random = bench, random
        self.value = VALUES[random.choice(list(VALUES))]
        self.place = random.getrandbits(30)

    def _weight(self, module: torch.nn.Module, rebuild: bool = False) -> Any:
        names = {n: p for n, p in module.named_parameters() if p.is_floating_point()}
        name = self.random.choice(sorted(names))
        with spoilt(names[name], self.place, self.value):
            data = runs.build(self.bench.models, runs.pictures(2), runs.CAPTIONS[:2]) if rebuild else None
            return self._train(dataset=data)

    def _train(self, **given: Any) -> Any:
        job = given.pop("job", None) or self.bench.job(self.random.choice(world.METHODS))
        return self.bench.train(job, **given)

    def model_weight(self) -> Any:
        """A weight of the diffusion model."""
        return self._weight(self.bench.models.model.model.diffusion_model)

    def encoder_weight(self) -> Any:
        """A weight of the text encoder."""
        return self._weight(self.bench.models.clip.cond_stage_model)

    def vae_weight(self) -> Any:
        """A weight of the VAE, with which the dataset is built."""
        return self._weight(self.bench.models.vae.first_stage_model, rebuild=True)

    def picture(self) -> Any:
        """A number of a training image."""
        images = [_copied(runs.pictures(1)[0], self.place, self.value)]
        data = runs.build(self.bench.models, images, runs.CAPTIONS[:1])
        return self._train(dataset=data)

    def _items(self, **changes: Any) -> Any:
        items = self.bench.dataset.items
        return replace(self.bench.dataset, items=(replace(items[0], **changes), *items[1:]))

    def latents(self) -> Any:
        """A number of a latent."""
        wrong = _copied(self.bench.dataset.items[0].latents, self.place, self.value)
        return self._train(dataset=self._items(latents=wrong))

    def mask(self) -> Any:
        """A number of a mask."""
        mask = torch.ones_like(self.bench.dataset.items[0].latents[:, :1])
        data = self._items(mask=_copied(mask, self.place, self.value))
        return self._train(job=self.bench.job("anchored"), dataset=data)

    def adapter(self) -> Any:
        """A number of an adapter to train on: LoRA, token or layer-wise vectors."""
        from purecc_pack.purecc.host.training.resuming import Resumer, Resuming
        from purecc_pack.purecc.host.training.state_files import StateFolder

        good = world.LATEST.setdefault("adapter", None) or self.bench.train(self.bench.job("LoRA")).adapter
        world.LATEST["adapter"] = good
        part = self.random.choice([f.name for f in fields(good) if f.name in ("lora", "tokens", "layers")])
        was = getattr(good, part)
        if isinstance(was, dict):
            name = self.random.choice(sorted(was))
            spoilt_part: Any = {**was, name: _copied(was[name], self.place, self.value)}
        else:
            spoilt_part = _copied(was, self.place, self.value)
        with tempfile.TemporaryDirectory() as folder:
            resumer = Resumer(
                Resuming("never", 0.0),
                "faults",
                lambda *_: None,
                train_on=replace(good, **{part: spoilt_part}),
                folder=StateFolder(folder),
            )
            return self._train(job=self.bench.job("LoRA"), resumer=resumer)

    def setting(self) -> Any:
        """A number of the settings."""
        name = self.random.choice(("lr", "embedding_lr", "clip", "shift"))
        values: dict[str, Any] = {name: self.value}
        return self._train(job=self.bench.job("LoRA", **values))


NAMES: tuple[str, ...] = ("ncoding", "weight", "latent", "mask", "image", "setting", "LoRA", "vector", "adapter", "VAE")
NAMES += ("purecc_layers", "Image", "clip_l", "diffusion_model")
"""What a message may name."""

CLASSES = ("model_weight", "encoder_weight", "vae_weight", "picture", "latents", "mask", "adapter", "setting")


def attempt(bench: world.World, kind: str, seed: int) -> Seen:
    """Spoil a number, run, and see whether it is named or did not matter."""
    spoiler = Spoiler(bench, Random(seed))
    said, error, wrong = "", "", ""
    try:
        outcome = getattr(spoiler, kind)()
        wrong = "" if world.finite(outcome.adapter) else "the adapter is not finite"
    except Exception as raised:
        said, error = str(raised), type(raised).__name__
    world.collect()
    return Seen(EITHER, said, error, NAMES, wrong=wrong, lost=bench.changed())


@contextmanager
def opened(random: Random) -> Iterator[Iterator[tuple[str, Callable[[], Seen]]]]:
    """Yield spoilt numbers without end."""
    bench = world.World.made()

    def cases() -> Iterator[tuple[str, Callable[[], Seen]]]:
        while True:
            kind, seed = random.choice(CLASSES), random.getrandbits(40)
            yield f"{kind} {seed}", partial(attempt, bench, kind, seed)

    yield cases()
