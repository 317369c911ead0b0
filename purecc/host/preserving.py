"""A preservation report: drawn, compared and measured with the host."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..files import Adapter
from ..measure import UNRELATED_PROMPTS
from ..protocol.pictures import ProtocolPrompt
from ..protocol.preservation import Outcome, Preservation, names
from . import drift as drifting
from .apply import apply
from .drawing import Customised, Sampling, draw
from .measuring import Encoders, measure
from .progress import NodeProgress


def with_adapters(model, clip, adapters: Sequence[Adapter], class_word: str) -> list[Customised]:
    """A model with each of some adapters on, one at a time.

    Raises:
        ValueError: an adapter belongs to another kind of model, or was trained for another class word, so that prompts
            with this one do not ask for its concept.
    """
    shown, out = names([a.name for a in adapters]), []
    for name, adapter in zip(shown, adapters, strict=True):
        known = adapter.metadata.get("purecc.class_word", class_word)
        if known.casefold() != " ".join(class_word.split()).casefold():
            raise ValueError(
                f"The adapter {adapter.name!r} was trained for {known!r} and class_word is {class_word!r}: write "
                f"{known!r} there and in the prompts. Only adapters of one class word can be compared."
            )
        pair = apply(model, clip, adapter)
        out.append(Customised(name, *pair, f"embedding:{adapter.name}" if adapter.tokens else None))
    return out


def parts(model, prompts: int, seeds: int, steps: int, models: int, using: Encoders | None, references: int) -> int:
    """How many parts the work has, for a bar."""
    out = (1 + models) * prompts * seeds * steps
    out += drifting.parts(len(UNRELATED_PROMPTS), models) if drifting.is_flow(model) else 0
    return out + (models * using.parts(2 * prompts * seeds, references) if using is not None else 0)


def preservation(
    base: tuple,
    customised: Sequence[Customised],
    vae,
    prompts: Sequence[ProtocolPrompt],
    concept: tuple[str, str],
    seeds: Sequence[int],
    sampling: Sampling,
    progress: NodeProgress,
    using: Encoders | None = None,
    references: Sequence[Tensor] = (),
) -> Preservation:
    """Draws with every model, and says what became of the base.

    Args:
        base: (MODEL, CLIP).
        customised: made from it.
        vae: VAE of all of them.
        prompts: with and without the concept.
        concept: class word and kind.
        seeds: two or more, or there is no floor.
        sampling: how.
        progress: on the node; its parts are those of `parts`.
        using: encoders, checked with `Encoders.check`; None: no measures by encoders.
        references: of the concept, for these.

    Raises:
        ValueError: see `draw` and `drift`; before anything is drawn where it can be known.
    """
    drawn = draw(base, customised, vae, prompts, seeds, sampling, progress)
    drifts = [None] * len(customised)
    if drifting.is_flow(base[0]):
        progress.say("drift on prompts without the concept")
        pairs = [(c.model, c.clip) for c in customised]
        drifts = drifting.drift(
            base, pairs, UNRELATED_PROMPTS, sampling.width, sampling.height, progress, limit=sampling.batch
        )
    out = []
    for c, pictures, moved in zip(customised, drawn, drifts, strict=True):
        report = None if using is None else measure(pictures, references, using, progress, moved)
        out.append(Outcome(c.name, pictures, moved, report))
    return Preservation(tuple(out), *concept)
