"""The node that plots a training run."""

from collections.abc import Sequence

from comfy_api.latest import io

from ..purecc.host.data.image_tensors import from_pil
from ..purecc.sheets.curves import paint
from .checked import Node
from .types import CATEGORY, LossMap


class TrainingCurves(Node):
    """Plots loss, λ* and drift."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PureCCTrainingCurves",
            display_name="Training Curves",
            category=CATEGORY,
            description="Plot loss, λ* and drift over the training steps, for one run or two.",
            search_aliases=["plot loss", "loss graph", "lambda curve"],
            inputs=[
                LossMap.Input("loss", tooltip="Losses from Train Extractor or Pure Learning."),
                LossMap.Input("loss_2", optional=True, tooltip="Losses of a second run, plotted for comparison."),
            ],
            outputs=[io.Image.Output(tooltip="Chart of the curves.")],
        )

    @classmethod
    def execute(cls, loss, loss_2=None) -> io.NodeOutput:
        runs = {name: of for name, of in (("loss", loss), ("loss_2", loss_2)) if of is not None}
        for name, of in runs.items():
            if not isinstance(of.get("loss"), Sequence):
                raise ValueError(f"{name} has no losses of steps. Connect the loss of a training node.")
        return io.NodeOutput(from_pil(paint(list(runs.values()))))
