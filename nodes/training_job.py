"""Turn the values of a training node into a job, and run it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..purecc.host.messages import Message
from ..purecc.host.models.adapter_folders import is_taken
from ..purecc.host.models.host_models import HostModels
from ..purecc.host.training.autosave import Saving
from ..purecc.host.training.job import EmbeddingSpec, Job, MemorySpec, PoolSpec, ReferenceSpec, WatchSpec
from ..purecc.host.training.keeping import Keeping
from ..purecc.host.training.node_run import NodeRef, run
from ..purecc.host.training.offers import prompt_hash
from ..purecc.host.training.presets import CUSTOM, preset_values
from ..purecc.host.training.queue_checks import check_saving, first_fault, wrong_wire
from ..purecc.host.training.resuming import Resuming
from ..purecc.method.methods import Methods
from ..purecc.method.recipe import Recipe
from ..purecc.network.lora import LoraSpec
from ..purecc.training.settings import Settings
from .checked import Node
from .settings import Values
from .workflow import workflow_id

GROUPS = {
    "lora": LoraSpec,
    "settings": Settings,
    "embedding": EmbeddingSpec,
    "memory": MemorySpec,
    "watch": WatchSpec,
    "pool": PoolSpec,
    "references": ReferenceSpec,
}
"""What each group of settings becomes."""


def build_job(recipe: Recipe, kind: str, groups: Mapping[str, Mapping[str, Any]]) -> Job:
    """Return the job of a training node.

    Args:
        recipe: the method.
        kind: "adapter" or "extractor".
        groups: the node's settings, see `settings.fields`: job, lora, settings, embedding, memory, watch, references,
            and pool where the node has it.
    """
    specs = {name: make(**groups.get(name, {})) for name, make in GROUPS.items()}
    return Job(recipe=recipe, kind=kind, **groups["job"], **specs)


class TrainingNode(Node):
    """The code that both training nodes share."""

    TITLE: str
    METHODS: Methods

    @classmethod
    def validate_inputs(
        cls,
        input_types: Mapping[str, str],
        name: str | None = None,
        method: str | None = None,
        trace_steps: str | None = None,
        drift_every: int | None = None,
        best_drift: float | None = None,
        gradient_checkpointing: str | bool | None = None,
    ) -> bool | str:
        """Return True, or what is wrong with the inputs. The host calls it when a prompt is queued.

        It leaves inputs that this function takes unchecked, wires included if it takes their types.
        """
        values: dict[str, Any] = {"name": name, "method": method, "trace_steps": trace_steps}
        values |= {
            "drift_every": drift_every,
            "best_drift": best_drift,
            "gradient_checkpointing": gradient_checkpointing,
        }
        types = {entry.id: entry.get_io_type() for entry in cls.define_schema().inputs}
        return wrong_wire(input_types, types) or first_fault(values, list(input_types), cls.METHODS) or True

    @classmethod
    def settled(cls, values: Values, recipe: Recipe) -> tuple[Values, tuple[Message, ...]]:
        """Return the values of the node's inputs with those of its preset and of its settings, and notes on them.

        Args:
            values: of the node's inputs, by id.
            recipe: the method.
        """
        preset = values.get("preset") or CUSTOM
        chosen, notes = ({}, ()) if preset == CUSTOM else _preset(preset, values, recipe)
        return {**values, **chosen, **(values.get("settings") or {})}, notes

    @classmethod
    def train(
        cls,
        recipe: Recipe,
        kind: str,
        groups: Mapping[str, Mapping[str, Any]],
        values: Values,
        notes: tuple[Message, ...] = (),
    ):
        """Return (adapter, LOSS_MAP) of a run on this node.

        Args:
            recipe: see `build_job`.
            kind: see `build_job`.
            groups: see `build_job`; "saving" and "resuming" too.
            values: of the node's inputs: model, clip, dataset; vae, extractor and train_on where they are connected.
            notes: what the run tells the user at its start.
        """
        saving, job = Saving(**groups["saving"]), build_job(recipe, kind, groups)
        check_saving(cls.hidden.prompt, saving, job.adapter_bytes(values["dataset"], values["model"]))
        if is_taken(name := groups["job"]["name"]):
            notes = (*notes, Message("note_name_taken", {"name": name}))
        models = HostModels(values["model"], values["clip"], values.get("vae"))
        hidden = cls.hidden
        known = prompt_hash(hidden.prompt, hidden.unique_id)
        node = NodeRef(hidden.unique_id, workflow_id(hidden.extra_pnginfo), notes, known)
        keeping = Keeping(saving, Resuming(**groups["resuming"]), values.get("train_on"))
        return run(models, values["dataset"], job, node, cls.TITLE, values.get("extractor"), keeping)


def _preset(name: str, values: Values, recipe: Recipe) -> tuple[dict[str, Any], tuple[Message, ...]]:
    chosen, note = preset_values(name, values["model"], recipe)
    return chosen, (note,)
