"""The masks of a dataset, before training."""

from comfy_api.latest import io, ui

from ..purecc.host import masking
from ..purecc.host.progress import NodeProgress
from .types import CATEGORY, Dataset


class ConceptMasks(io.ComfyNode):
    """Finds and shows masks."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PureCCConceptMasks",
            display_name="Concept Masks",
            category=CATEGORY,
            description="Where the concept is in each reference, as the base model itself sees it: no other model is "
            "needed. The method 'anchored' learns only what is inside. Look at the masks before training; those that "
            "Concept Dataset was given are shown and kept.",
            search_aliases=["segment references", "mask preview", "subject mask", "masked training"],
            is_output_node=True,
            inputs=[
                io.Model.Input("model", tooltip="The base model that will be trained. It is copied; yours stays."),
                io.Clip.Input("clip", tooltip="The text encoders that belong to the model. They stay as they are."),
                Dataset.Input("dataset", tooltip="From Concept Dataset."),
            ],
            outputs=[
                Dataset.Output(
                    "dataset", display_name="dataset", tooltip="The dataset with its masks, for Pure Learning."
                ),
                io.Image.Output(
                    "images",
                    display_name="images",
                    is_output_list=True,
                    tooltip="Each reference with its mask: what is outside is dimmed, the edge is outlined.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, model, clip, dataset) -> io.NodeOutput:
        progress = NodeProgress(cls.hidden.unique_id, "masks", len(dataset.items))
        masked = masking.find_masks(model, clip, dataset, progress.say, progress.advance)
        pictures, lines = masking.pictures(masked), masking.remarks(masked)
        progress.say("\n".join(lines))
        shown = {**ui.PreviewImage(pictures).as_dict(), "text": lines}
        return io.NodeOutput(masked, [p[None] for p in pictures], ui=shown)
