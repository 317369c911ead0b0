"""What a training run is asked to do, and whom it tells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from ..branches import LoraSpec
from ..dataset import ConceptDataset, ConceptItem
from ..files import Adapter
from ..history import Step
from ..previews import Preview
from ..recipes import Recipe
from ..settings import Settings
from ..trainee import Trainee
from .field import HostField


@dataclass(frozen=True)
class Job:
    """What to train, beside the models and the pictures.

    Attributes:
        name: of the adapter; prompts call it `embedding:NAME`.
        recipe: the method.
        kind: "extractor" for stage 1, else "adapter".
        lora: shape of the learner.
        settings: of the loop.
        input_token: whether the vectors in CLIP-L and CLIP-G are trained.
        layer_wise: whether there is a vector per joint block (7), trained.
        precision: what the base computes in, a key of field.PRECISIONS; LoRA and embeddings are float32 always.
        checkpointing: which blocks are computed again in the backward pass: "auto", as few as fit into the device's
            free memory, and none on the CPU; "off"; or "all".
        deterministic: the same seed gives the same adapter on CUDA too, somewhat slower.
        drift_every: steps between two measurements of drift; 0: as often, and on as many of the prompts, as costs
            little, see `measure.affordable`.
        drift_prompts: what drift is measured on; empty: it is not measured.
        sample_every: steps between two sample pictures; 0: none but those that are asked for.
        sample_prompts: of the samples; empty: the first complete text.
        pool_images: how many pictures the base draws for a recipe that needs a pool of them.
        pool_prompts: of these pictures, in turn; empty: the base texts of the references.
        trace_steps: steps whose tensors are kept.
    """

    name: str
    recipe: Recipe
    kind: str = "adapter"
    lora: LoraSpec = field(default_factory=LoraSpec)
    settings: Settings = field(default_factory=Settings)
    input_token: bool = True
    layer_wise: bool = True
    precision: str = "auto"
    checkpointing: str = "auto"
    deterministic: bool = False
    drift_every: int = 0
    drift_prompts: tuple[str, ...] = ()
    sample_every: int = 0
    sample_prompts: tuple[str, ...] = ()
    pool_images: int = 20
    pool_prompts: tuple[str, ...] = ()
    trace_steps: frozenset[int] = frozenset()


class Listener(Protocol):
    """What a run tells its caller; an exception from it ends the run."""

    def say(self, text: str) -> None:
        """What is being done before the steps begin."""
        ...

    def note(self, text: str) -> None:
        """What the user should know of the run, such as that it computes more than was planned."""
        ...

    def masks(self, dataset: ConceptDataset) -> None:
        """The references with the masks that training will use, before the first step; not for a run without."""
        ...

    def step(self, step: Step, previews: Sequence[Preview] | None) -> None:
        """A finished step, with the samples (latents of the VAE's scale) when some were drawn."""
        ...


@dataclass(frozen=True)
class Wishes:
    """What the user asks of a run.

    Attributes:
        stop: end with this step, and keep what was learned.
        sample: draw the samples now.
    """

    stop: bool = False
    sample: bool = False


class Steering(Protocol):
    """Who steers a run, from the thread that trains; an exception from it ends the run."""

    def wishes(self) -> Wishes:
        """Asked once after every step; a sample that was asked for is then granted."""
        ...

    def keep(self, step: Step, adapter: Callable[[str], Adapter]) -> None:
        """After every step: may take the adapter of this moment, under a name."""
        ...


@dataclass(frozen=True)
class Inspection:
    """A look inside a run, for benchmarks.

    Attributes:
        look: called with (0, trainee, field) before the first step, and after each of `steps` with its number.
        steps: numbers of steps.
        texts: prompts that `look` runs, beside those of the job.
        penalty: from (trainee, the base's own pictures), made before the first step: what is added to the loss of every
            step. The pool is drawn for it whatever the recipe. None: nothing.
    """

    look: Callable[[int, Trainee, HostField], None]
    steps: frozenset[int] = frozenset()
    texts: tuple[str, ...] = ()
    penalty: Callable[[Trainee, Sequence[ConceptItem]], Callable[[], Tensor] | None] | None = None
