"""The node that holds the experts' settings of a training node."""

from __future__ import annotations

from copy import copy

from comfy_api.latest import io

from .checked import Node
from .settings import Table, inputs
from .training_settings import MEMORY, OPTIMISER
from .types import CATEGORY, TrainingSettings
from .watch_settings import DRIFT, TRACE

EXPERT: Table = [*OPTIMISER, *MEMORY, *DRIFT, *TRACE]

IDS = tuple(entry.id for entry in inputs(EXPERT))


class ExpertSettings(Node):
    """Holds settings for a training node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PureCCTrainingSettings",
            display_name="Training Settings",
            category=CATEGORY,
            description="Hold the rarely needed settings of a training node: optimiser, timesteps, memory, drift and "
            "traces. Connect it to settings of one or more training nodes; its values replace theirs.",
            search_aliases=[
                "advanced training settings",
                "optimizer",
                "optimiser",
                "gradient accumulation",
                "precision",
            ],
            inputs=[_shown(entry) for entry in inputs(EXPERT)],
            outputs=[
                TrainingSettings.Output(
                    "settings", display_name="settings", tooltip="Settings for Train Extractor and Pure Learning."
                )
            ],
        )

    @classmethod
    def execute(cls, **values) -> io.NodeOutput:
        return io.NodeOutput(values)


def _shown(entry: io.Input) -> io.Input:
    """Return an input that the node shows at once: it has no others."""
    entry = copy(entry)
    entry.advanced = None
    return entry
