"""Make a preservation report with the host: generate, compare, measure."""

from __future__ import annotations

from collections.abc import Sequence

from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ...adapters.files import Adapter
from ...evaluation.preservation import Outcome, Preservation, names
from ...text.concept import Concept
from ...training.drift import UNRELATED_PROMPTS
from ..models.apply import apply
from ..models.host_models import HostModels
from ..ui.node_progress import NodeProgress
from . import drift as drifting
from .measuring import Encoders, measure
from .sampling import Customised, Protocol, sample


def with_adapters(base: HostModels, adapters: Sequence[Adapter], class_word: str) -> list[Customised]:
    """Apply each of some adapters to a model on its own.

    Raises:
        ValueError: an adapter belongs to another kind of model, or was trained for another class word, so that these
            prompts do not ask for its concept.
    """
    out = []
    for name, adapter in zip(names([a.name for a in adapters]), adapters, strict=True):
        known = adapter.metadata.get("purecc.class_word", class_word)
        if known.casefold() != " ".join(class_word.split()).casefold():
            raise ValueError(
                f"The adapter {adapter.name!r} was trained for {known!r} and class_word is {class_word!r}. Compare "
                f"adapters of one class word, and write {known!r} in class_word and in the prompts."
            )
        model, clip = apply(base.model, base.clip, adapter)
        out.append(Customised(name, HostModels(model, clip), f"embedding:{adapter.name}" if adapter.tokens else None))
    return out


def parts(model: ModelPatcher, protocol: Protocol, models: int, using: Encoders | None, references: int) -> int:
    """Return the number of parts of the work with this many customised models, for a progress bar."""
    out = (1 + models) * protocol.steps
    out += drifting.parts(len(UNRELATED_PROMPTS), models) if drifting.has_drift(model) else 0
    images = 2 * len(protocol.prompts) * len(protocol.seeds)
    return out + (models * using.parts(images, references) if using is not None else 0)


def preservation(
    base: HostModels,
    customised: Sequence[Customised],
    concept: Concept,
    protocol: Protocol,
    progress: NodeProgress,
    using: Encoders | None = None,
    references: Sequence[Tensor] = (),
) -> Preservation:
    """Generate with every model and report what changed against the base.

    Args:
        base: MODEL, CLIP and VAE.
        customised: made from it.
        concept: what was learned.
        protocol: prompts with and without the concept, and two or more seeds, or there is no seed floor.
        progress: on the node; its parts are those of `parts`.
        using: encoders, checked with `Encoders.check`; None: no measures by encoders.
        references: images of the concept, for these measures.

    Raises:
        ValueError: see `sample` and `drift`; before anything is generated where possible.
    """
    generated = sample(base, customised, protocol, progress)
    drifts: list[float | None] = [None] * len(customised)
    if drifting.has_drift(base.model):
        progress.say("drift on prompts without the concept")
        how = protocol.sampling
        size = how.width, how.height
        models = [c.models for c in customised]
        drifts = [*drifting.drift(base, models, UNRELATED_PROMPTS, size, progress, limit=how.batch)]
    out = []
    for c, pictures, moved in zip(customised, generated, drifts, strict=True):
        report = None if using is None else measure(pictures, references, using, progress, moved)
        out.append(Outcome(c.name, pictures, moved, report))
    return Preservation(tuple(out), concept)
