"""The node that finds and shows the masks of a dataset."""

from comfy_api.latest import io, ui

from ..purecc.host.messages import Message, Phase
from ..purecc.host.models.host_models import HostModels
from ..purecc.host.training import find_masks
from ..purecc.host.ui.node_progress import NodeProgress
from .checked import Node
from .place_settings import companion_input, companion_of, companion_words_input
from .resume_settings import CACHE_TOOLTIP
from .types import CATEGORY, Dataset


class ConceptMasks(Node):
    """Finds and shows masks."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PureCCConceptMasks",
            display_name="Concept Masks",
            category=CATEGORY,
            description="Find the concept in each reference image with the base model; no other model is needed. The "
            "method anchored learns only inside these masks, so check them before training. Masks given to Concept "
            "Dataset are shown and kept.",
            search_aliases=["segment references", "mask preview", "subject mask", "masked training"],
            is_output_node=True,
            inputs=[
                io.Model.Input("model", tooltip="Base model to train. It is copied; yours stays as it is."),
                io.Clip.Input("clip", tooltip="Text encoders of the model. They stay as they are."),
                Dataset.Input("dataset", tooltip="Reference images and captions, from Concept Dataset."),
                io.Boolean.Input(
                    "cache",
                    default=True,
                    optional=True,
                    advanced=True,
                    tooltip=CACHE_TOOLTIP.format(what="the masks"),
                ),
                companion_input("What"),
                companion_words_input("What"),
            ],
            outputs=[
                Dataset.Output("dataset", display_name="dataset", tooltip="Dataset with masks, for Pure Learning."),
                io.Image.Output(
                    "images",
                    display_name="images",
                    is_output_list=True,
                    tooltip="Reference images with their masks: dimmed outside, outlined at the edge.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, model, clip, dataset, cache=True, **companion) -> io.NodeOutput:
        progress = NodeProgress(cls.hidden.unique_id, "masks", len(dataset.items))

        def on_phase(phase: Phase, **values: object) -> None:
            progress.say(str(Message(phase.value, values)))

        models = HostModels(model, clip)
        masked = find_masks.find_masks(models, dataset, on_phase, progress.advance, cache, companion_of(companion))
        pictures, lines = find_masks.pictures(masked.dataset), find_masks.remarks(masked)
        progress.say("\n".join(lines))
        shown = {**ui.PreviewImage(pictures).as_dict(), "text": lines}
        return io.NodeOutput(masked.dataset, [p[None] for p in pictures], ui=shown)
