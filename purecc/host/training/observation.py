"""Measure drift, make samples and notify the listener after the steps of a run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from itertools import chain

from ...adapters.files import Adapter
from ...training.dataset import ConceptDataset
from ...training.drift import WATCHED, DriftProbe
from ...training.history import History, Step
from ...training.previews import Preview, PreviewSampler, preview_texts
from ..messages import Message, Phase
from .assembly import Assembly
from .job import Job
from .listener import Listener, Steering
from .out_of_memory import halve_until_it_fits, skip_if_out_of_memory


class Observation:
    """Measures, samples and tells after every step.

    Args:
        assembly: what takes part in the run.
        dataset: the references.
        job: what to train, resolved.
        listener: told of the base's measurement and of every step.
        steering: asked after every step.
        adapter: from a name and the history, gives the adapter of this moment.
    """

    def __init__(
        self,
        assembly: Assembly,
        dataset: ConceptDataset,
        job: Job,
        listener: Listener,
        steering: Steering,
        adapter: Callable[[str, History], Adapter],
    ):
        self._assembly, self._watch, self._last = assembly, job.watch, job.settings.steps
        self._listener, self._steering, self._adapter = listener, steering, adapter
        channels, height, width = dataset.items[0].latents.shape[1:]
        shape = channels, height, width
        self._drift: DriftProbe | None = None
        if job.watch.drift_prompts:
            listener.phase(Phase.MEASURE_BASE)
            measure = partial(_probe, assembly, shape, job.watch.drift_prompts)
            self._drift = halve_until_it_fits("measuring the base model", measure, job.settings.batch)
        self._sampler = partial(PreviewSampler, assembly.branched, shape, seed=job.settings.seed)
        self._first = dataset.items[0].texts
        self._previews = self._sampler(preview_texts(job.watch.sample_prompts, self._first))

    def after_step(self, history: History) -> bool:
        """Run the measurements and samples that are due after the last step of a history, and notify the listener.

        Returns:
            Whether the run ends here.
        """
        step, requests, watch = history.steps[-1], self._steering.requests(), self._watch
        ending = requests.stop or step.number == self._last
        if self._drift is not None and (ending or step.number % watch.drift_every == 0):
            with self._or_note("note_no_drift", step):
                step = history.steps[-1] = replace(step, drift=self._drift())
        due = watch.sample_every and (ending or step.number % watch.sample_every == 0)
        previews = None
        if requests.prompts is not None:
            self._sample_with(requests.prompts, step)
        if due or requests.sample:
            with self._or_note("note_no_samples", step):
                previews = self._samples()
        self._listener.step(step, previews)
        if previews is not None:
            self._assembly.load()
        self._steering.keep(step, lambda name: self._adapter(name, history))
        return requests.stop

    def _or_note(self, key: str, step: Step) -> AbstractContextManager[None]:
        return skip_if_out_of_memory(Message(key, {"step": step.number}), self._listener.note)

    def _sample_with(self, prompts: tuple[str, ...], step: Step) -> None:
        texts = preview_texts(prompts, self._first)
        with self._or_note("note_no_samples", step):
            try:
                self._assembly.read(chain(*texts))
            except ValueError as error:
                self._listener.note(Message("bad_prompts", {"error": str(error)}))
            else:
                self._previews = self._sampler(texts)

    def _samples(self) -> list[Preview]:
        out = self._assembly.field.latents_out
        return [replace(p, base=out(p.base), current=out(p.current)) for p in self._previews()]


def _probe(assembly: Assembly, shape: tuple[int, int, int], prompts: tuple[str, ...], limit: int) -> DriftProbe:
    return DriftProbe(assembly.branched, shape, prompts, WATCHED, limit=limit)
