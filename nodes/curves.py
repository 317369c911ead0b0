"""A picture of how training went."""

from comfy_api.latest import io

from ..purecc.curves import draw
from ..purecc.host.latents import from_pil
from .types import CATEGORY, LossMap


class TrainingCurves(io.ComfyNode):
    """Draws loss, λ* and drift."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PureCCTrainingCurves",
            display_name="Training Curves",
            category=CATEGORY,
            description="Loss, λ* and drift over the steps, as a picture.",
            search_aliases=["plot loss", "loss graph", "lambda curve"],
            inputs=[
                LossMap.Input("loss", tooltip="From Train Extractor or Pure Learning."),
                LossMap.Input("loss_2", optional=True, tooltip="A second run, drawn beside the first."),
            ],
            outputs=[io.Image.Output(tooltip="The curves.")],
        )

    @classmethod
    def execute(cls, loss, loss_2=None) -> io.NodeOutput:
        return io.NodeOutput(from_pil(draw([m for m in (loss, loss_2) if m is not None])))
