"""Our training, by the function that the nodes call: rows of steps, and a whole run from images to saved files."""

from __future__ import annotations

import functools
import itertools
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from comfy import model_management
from comfy.model_base import BaseModel
from torch import nn

from purecc_pack.purecc.adapters import files
from purecc_pack.purecc.adapters.files import Adapter
from purecc_pack.purecc.host.data import references
from purecc_pack.purecc.host.data.image_tensors import Cropping
from purecc_pack.purecc.host.messages import Message, Phase
from purecc_pack.purecc.host.models.host_models import HostModels
from purecc_pack.purecc.host.training import draw_pool, session
from purecc_pack.purecc.host.training.job import WatchSpec
from purecc_pack.purecc.host.training.session import Outcome
from purecc_pack.purecc.text.captions import CaptionInput
from purecc_pack.purecc.text.concept import Concept
from purecc_pack.purecc.training.dataset import ConceptDataset, ConceptItem
from purecc_pack.purecc.training.history import Step
from speed import checkpoint, stages
from speed.clock import Measured, Parts, Steps, capped, forget_peak, held, taken
from speed.kind import Models
from speed.names import GIB, USERS
from speed.setup import Setup, Shape
from speed.stages import CONFIGURATIONS, STAGES, Configuration

WHOLE = "extractor", stages.PAPER
HALVES = "a step in the first half", "a step in the second half"


class Listener:
    """Times the phases before the first step in `parts`; keeps the plan, the notes, and what the base computes in."""

    def __init__(self, device: torch.device, on_step: Callable[[Step], None] = lambda step: None):
        self.parts, self.plan, self._on_step = Parts(device), "", on_step
        self.notes: list[str] = []
        self.dtype: torch.dtype | None = None

    def phase(self, phase: Phase, **values: object) -> None:
        """Begin a part, or end the last where the steps begin."""
        self.parts.begin(phase.name.lower() if phase is not Phase.TRAIN else "")
        if phase is Phase.TRAIN:
            self.plan, self.dtype = str(Message(phase.value, values)), _computing()

    def note(self, message: Message, topic: str | None = None) -> None:
        """Keep a note."""
        self.notes.append(str(message))

    def resumed(self, steps: Sequence[Step], total: int) -> None:
        """Do nothing."""

    def masks(self, dataset: ConceptDataset) -> None:
        """Masks are not looked at."""

    def step(self, step: Step, previews: Any) -> None:
        """Pass a finished step on."""
        self._on_step(step)


def users_bytes(models: Models) -> int:
    """Return the bytes of the user's models, which stay as they are while the private copy trains."""
    clip = models.clip.cond_stage_model
    modules = (models.model.model, getattr(clip, "module", clip), models.vae.first_stage_model)
    tensors = [w for m in modules if isinstance(m, nn.Module) for w in (*m.parameters(), *m.buffers())]
    return sum({w.untyped_storage()._cdata: w.untyped_storage().nbytes() for w in tensors}.values())


class Ours:
    """Every stage in every configuration that is for it. Each row is a run of its own."""

    def __init__(self, setup: Setup):
        self.setup = setup
        self.models = checkpoint.models(setup)
        self.dataset = functools.cache(self._dataset)

    @staticmethod
    def cases() -> list[tuple[str, str]]:
        """Return the stage and configuration of each row."""
        return [(s, c) for s in STAGES for c, how in CONFIGURATIONS.items() if not how.only or s in how.only]

    def measure(self, stage: str, name: str, shape: Shape) -> tuple[str, Measured]:
        """Return the configuration and its figures."""
        dataset, seconds = self.dataset(shape.pixels)
        steps = Steps(self.setup.device, shape)
        listener = Listener(self.setup.device, lambda step: steps.finished())
        given = stage, CONFIGURATIONS[name], dataset, listener, self.theta1(stage)
        found = steps.measured(functools.partial(self.run, *given, steps=steps.total, batch=shape.batch))
        parts = {"latents": seconds, **listener.parts.seconds}
        details = {"plan": listener.plan, USERS: users_bytes(self.models) / GIB}
        note = "; ".join(filter(None, (found.note, *listener.notes)))
        return name, replace(found, dtype=listener.dtype, parts=parts, details=details, note=note)

    def run(
        self,
        stage: str,
        configuration: Configuration,
        dataset: ConceptDataset,
        listener: Listener,
        extractor: Adapter | None,
        traced: frozenset[int] = frozenset(),
        **loop: Any,
    ) -> Outcome:
        """Train with the settings in `loop`; keep the tensors of the traced steps.

        Raises:
            RuntimeError: the base computes in another type than its rows are taken for.
        """
        kind, cpu = self.setup.kind, self.setup.device.type == "cpu"
        if cpu and kind.dtype == torch.bfloat16 and not configuration.fp8 and configuration.precision == "auto":
            configuration = replace(
                configuration, precision="bfloat16"
            )  # float32 where the processor has no products in it
        job = replace(stages.job(STAGES[stage], configuration, kind.pool, **loop), watch=WatchSpec(trace_steps=traced))
        models = HostModels(self.fp8 if configuration.fp8 else self.models.model, self.models.clip)
        with torch.inference_mode(), capped(self.setup.device, configuration.cap), self._pool():
            outcome = session.customise(models, dataset, job, listener, extractor)
        wanted = {"auto": kind.dtype, "float32": torch.float32}.get(configuration.precision, torch.bfloat16)
        if listener.dtype != wanted and not (configuration.fp8 and listener.dtype != torch.float16):
            raise RuntimeError(f"The base computes in {listener.dtype} and not in {wanted}: its times would mislead.")
        return outcome

    def theta1(self, stage: str) -> Adapter | None:
        """Return θ1 after one step of stage 1, where the stage needs it: times do not depend on its values."""
        return self._extractor if STAGES[stage].recipe.needs_extractor else None

    @functools.cached_property
    def _extractor(self) -> Adapter:
        dataset, _ = self.dataset(self.setup.kind.pixels[0])
        return self.run("extractor", Configuration(), dataset, Listener(self.setup.device), None, steps=1).adapter

    @functools.cached_property
    def fp8(self):
        """MODEL with 8-bit weights."""
        return checkpoint.load_fp8(checkpoint.write(self.setup.folder, self.setup.kind, self.setup.device))

    def _dataset(self, pixels: int) -> tuple[ConceptDataset, float]:
        """Return random references, and the seconds that encoding them took."""
        concept = Concept(stages.CLASS_WORD, stages.KIND)
        generator, parts = torch.Generator().manual_seed(pixels), Parts(self.setup.device)
        images = [torch.rand(1, pixels, pixels, 3, generator=generator) for _ in stages.CAPTIONS]
        left = (torch.arange(pixels) < pixels // 2).float().expand(len(images), pixels, pixels)
        masks = None if self.setup.prepare else [left]
        parts.begin("latents")
        with torch.inference_mode():
            captions = CaptionInput(stages.CAPTIONS)
            dataset = references.build(images, captions, concept, self.models.vae, Cropping(pixels), masks)
        parts.begin("")
        return dataset, parts.seconds["latents"]

    @contextmanager
    def _pool(self) -> Iterator[None]:
        if self.setup.prepare:
            yield
        else:
            with mock.patch.object(draw_pool, "generate_pool", _random_pool):
                yield


class WholeRun(Ours):
    """A run of both stages from images to saved files, the models loaded."""

    @staticmethod
    def cases() -> list[tuple[str, str]]:
        """Return both stages in each configuration that is for every stage."""
        return [(", then ".join(WHOLE), c) for c, how in CONFIGURATIONS.items() if not how.only]

    def measure(self, stage: str, name: str, shape: Shape) -> tuple[str, Measured]:
        """Return the configuration and the seconds of the whole, those of its parts among the details."""
        device, parts, adapter = self.setup.device, Parts(self.setup.device), None
        forget_peak(device)
        parts.begin("latents")
        dataset, _ = self._dataset(shape.pixels)
        memory: list[int] = []

        def look(step: Step) -> None:
            if step.number in (2, self.setup.whole_steps):
                memory.append(held(device))

        for each in WHOLE:
            parts.begin(each)
            listener = Listener(device, look)
            given = each, CONFIGURATIONS[name], dataset, listener, adapter
            outcome = self.run(*given, steps=self.setup.whole_steps, batch=shape.batch)
            adapter = outcome.adapter
        parts.begin("saving")
        assert adapter is not None
        with tempfile.TemporaryDirectory(prefix="speed-") as folder:
            files.save(adapter, Path(folder) / "loras", Path(folder) / "embeddings")
        parts.begin("")
        details = {"steps of each stage": self.setup.whole_steps, **parts.seconds, **_halves(outcome)}
        found = Measured([sum(parts.seconds.values())], **taken(device), grown=memory[-1] - memory[-2], details=details)
        return name, replace(found, dtype=listener.dtype, note="; ".join(listener.notes))


def _halves(outcome: Outcome) -> dict[str, float]:
    """Return the median seconds of a step in either half of the last stage."""
    each = [b - a for a, b in itertools.pairwise(step.seconds for step in outcome.history.steps)]
    half = len(each) // 2
    return dict(zip(HALVES, map(statistics.median, (each[:half], each[half:])), strict=True)) if half else {}


def _computing() -> torch.dtype:
    """Return what the private copy computes in; the user's model is unloaded while it trains."""
    loaded = [m.model.model for m in model_management.current_loaded_models]
    (base,) = [model for model in loaded if isinstance(model, BaseModel)]
    return base.get_dtype_inference()


def _random_pool(_: Any, items: Sequence[ConceptItem], __: Any, count: int, *___: Any) -> tuple[ConceptItem, ...]:
    generator, first = torch.Generator().manual_seed(1), items[0]
    noise = torch.randn(count, *first.latents.shape[1:], generator=generator).split(1)
    return tuple(replace(first, latents=x) for x in noise)
