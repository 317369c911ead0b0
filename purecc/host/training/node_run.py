"""A training run as a node makes it: checked, shown on the node, traced to files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO

import folder_paths
import torch
from comfy import model_management
from comfy.sd import VAE
from PIL import Image
from torch import Tensor

from ...adapters.files import Adapter
from ...adapters.picture import shown_for
from ...sheets.canvas import image
from ...sheets.mask_overlay import tiled
from ...text.texts import validate_name
from ...training import parallel
from ...training.dataset import ConceptDataset
from ...training.history import History, Step
from ...training.previews import Preview
from ..data.image_tensors import decode
from ..messages import Message, Phase
from ..models.host_models import HostModels
from ..ui.events import send
from ..ui.live_run import LiveRun
from ..ui.live_runs import RUNS
from ..ui.node_progress import NodeProgress
from ..ui.run_state import CANCELLED, FAILED, FINISHED, STOPPED, About
from ..ui.samples import Sample
from .autosave import Saver
from .find_masks import pictures
from .job import Job
from .keeping import Keeping
from .listener import Requests
from .out_of_memory import skip_if_out_of_memory
from .session import Outcome, customise
from .traces import save_traces


@dataclass(frozen=True)
class NodeRef:
    """Where a node is.

    Attributes:
        id: of the node, as the host executes it.
        workflow: id of the workflow that the node is in, where the front end sent one.
        notes: what the run tells the user at its start.
        prompt: hash of the queued prompt that leads to the node, see `offers.prompt_hash`; "": unknown.
    """

    id: str | None
    workflow: str | None = None
    notes: tuple[Message, ...] = ()
    prompt: str = ""


def run(
    models: HostModels,
    dataset: ConceptDataset,
    job: Job,
    node: NodeRef,
    title: str,
    extractor: Adapter | None = None,
    keeping: Keeping | None = None,
) -> tuple[Adapter, dict]:
    """Train with progress on a node and in the browser, where the run can be steered.

    Args:
        models: the user's models; the VAE decodes samples.
        dataset: the references.
        job: what to train.
        node: the node.
        title: of the run.
        extractor: see `customise`; a method that has no use for it runs without, and the run says so.
        keeping: what is written while it trains, and what it goes on from.

    Returns:
        The adapter, and a LOSS_MAP: "loss" as the host's own nodes have it, and more; see `loss_map`.
    """
    validate_name(job.name)
    ranks = parallel.ours()
    keeping = (keeping or Keeping()).of(ranks)
    keeping.saving.check(job.watch.drift_every, job.watch.drift_prompts)
    about = About(node.id, node.workflow, title, job.name, job.settings.steps, models.vae is not None)
    live = LiveRun(about, partial(send, "purecc.run"), _memory)
    listener = NodeListener(NodeProgress(node.id, title, job.settings.steps), models.vae, live)
    loras, embeddings = (folder_paths.get_folder_paths(kind)[0] for kind in ("loras", "embeddings"))
    saver = Saver(keeping.saving, job.name, (loras, embeddings), live)
    RUNS.add(live)
    for note in node.notes:
        listener.note(note)
    if extractor is not None and not job.recipe.needs_extractor:
        extractor, unused = None, Message("note_extractor_unused")
        logging.info("PureCC, %s %r: %s", title, job.name, unused)
        listener.note(unused)
    resumer = keeping.resumer(ranks, job.name, listener.note, node.prompt, saver)
    steering = LiveSteering(live, saver)

    def trained() -> Outcome:
        outcome = customise(models, dataset, job, listener, extractor, steering, resumer)
        save_traces(job.name, outcome.traces, listener.note)
        return outcome

    outcome = _ended(live, trained)
    adapter = replace(outcome.adapter, picture=_picture(live, dataset))
    return adapter, loss_map(title, outcome.history)


def _ended(live: LiveRun, train: Callable[[], Outcome]) -> Outcome:
    """Return what training gives, and tell a live run how it ended."""
    try:
        outcome = train()
    except model_management.InterruptProcessingException:
        live.end(CANCELLED)
        raise
    except BaseException as error:
        live.end(FAILED, str(error))
        raise
    live.end(STOPPED if outcome.history.stopped else FINISHED, prompt=_prompt(outcome.adapter))
    return outcome


def _prompt(adapter: Adapter) -> str:
    """Return a prompt that shows the concept of an adapter; empty for an extractor."""
    phrase = adapter.metadata["modelspec.trigger_phrase"]
    if adapter.kind != "adapter":
        return ""
    return f"a house by a lake, in {phrase}" if adapter.metadata["purecc.concept"] == "style" else f"a {phrase}"


def loss_map(title: str, history: History) -> dict:
    """Return a run's history as a LOSS_MAP."""
    return {
        "loss": history.losses,
        "parts": {k: [s.losses[k] for s in history.steps] for k in history.steps[0].losses},
        "lambda": history.scales,
        "drift": history.drift,
        "title": title,
    }


class NodeListener:
    """Shows a run on a node and in the browser; the user's VAE decodes the samples."""

    def __init__(self, progress: NodeProgress, vae: VAE | None, live: LiveRun):
        self._progress, self._vae, self._live = progress, vae, live
        self._base: dict[str, bytes] = {}

    def phase(self, phase: Phase, **values: object) -> None:
        """See Listener."""
        self._live.phase(phase, **values)
        self._progress.phase(phase, **values)

    def note(self, message: Message, topic: str | None = None) -> None:
        """See Listener."""
        self._live.note(message, topic)

    def masks(self, dataset: ConceptDataset) -> None:
        """See Listener."""
        self._live.masks(_as_jpeg(image(tiled(pictures(dataset))[0])))

    def resumed(self, steps: Sequence[Step], total: int) -> None:
        """See Listener."""
        self._live.resumed(steps, total)
        self._progress.resumed(len(steps), total)

    def step(self, step: Step, previews: Sequence[Preview] | None) -> None:
        """See Listener."""
        if previews is not None and self._vae is not None:
            with skip_if_out_of_memory(Message("note_no_samples", {"step": step.number}), self.note):
                self._live.sample(self._samples(step, previews, self._vae))
        self._live.step(step)
        self._progress.step(step)

    def _samples(self, step: Step, previews: Sequence[Preview], vae: VAE) -> list[Sample]:
        self._base = {p.prompt: self._base.get(p.prompt) or _jpeg(vae, p.base) for p in previews}
        return [Sample(step.number, p.prompt, p.seed, self._base[p.prompt], _jpeg(vae, p.current)) for p in previews]


class LiveSteering:
    """Passes on the requests that a live run received from the browser."""

    def __init__(self, live: LiveRun, saver: Saver):
        self._live, self._saver = live, saver

    def requests(self) -> Requests:
        """See Steering."""
        granted = self._live.granted("stop", "sample")
        return Requests("stop" in granted, "sample" in granted, self._live.prompts_asked())

    def keep(self, step: Step, adapter: Callable[[str], Adapter]) -> None:
        """See Steering."""
        self._saver.after(step, bool(self._live.granted("save")), adapter)


def _picture(live: LiveRun, dataset: ConceptDataset) -> bytes:
    """Return the picture that LoRA managers show: the latest sample, or the first training image without one."""
    sample = live.latest()
    if sample is None:
        first = dataset.items[0]
        return shown_for(image(first.image), f"training image: {first.texts.complete}")
    with Image.open(BytesIO(sample.current)) as opened:
        return shown_for(opened, f"sample at step {sample.step}: {sample.prompt}")


def _jpeg(vae: VAE, latent: Tensor) -> bytes:
    with torch.inference_mode():
        return _as_jpeg(image(decode(vae, latent.clone())[0]))


def _as_jpeg(picture: Image.Image) -> bytes:
    out = BytesIO()
    picture.save(out, "JPEG", quality=90)
    return out.getvalue()


def _memory() -> tuple[int, int]:
    """Return the bytes in use and in all, of the device that trains."""
    device = model_management.get_torch_device()
    total = model_management.get_total_memory(device)
    return int(total - model_management.get_free_memory(device)), int(total)
