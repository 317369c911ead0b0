"""Pictures and captions to a concept dataset."""

from comfy_api.latest import io

from ..purecc.host.datasets import build
from .types import CATEGORY, Dataset


class ConceptDataset(io.ComfyNode):
    """Builds a dataset."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PureCCConceptDataset",
            display_name="Concept Dataset",
            category=CATEGORY,
            description="Pictures of one concept with captions in which [v] marks it: 'a [v] robot on a table' "
            "(instance), 'a house by a lake, in [v] style' (style). Three to ten pictures are enough.",
            search_aliases=["training images", "dreambooth dataset", "captions", "references"],
            is_input_list=True,
            inputs=[
                io.Image.Input("images", tooltip="The reference pictures: a list, or a batch."),
                io.String.Input(
                    "captions",
                    multiline=True,
                    default="",
                    tooltip="A caption for each picture, one a line or a connected list, or one caption for all. Mark "
                    "the concept by [v] before the class word and name what else is in the picture. Left wholly empty, "
                    "every picture is captioned 'a [v] CLASS'.",
                ),
                io.String.Input(
                    "class_word",
                    default="robot",
                    tooltip="What the concept is one of: robot, dog, toy. For a style the word after [v], usually "
                    "'style'.",
                ),
                io.Combo.Input(
                    "kind",
                    options=["instance", "style"],
                    tooltip="An instance is one particular thing; a style is a way of drawing anything.",
                ),
                io.Int.Input(
                    "resolution",
                    default=512,
                    min=0,
                    max=2048,
                    step=16,
                    tooltip="Side of the square that each picture is cropped and scaled to, in pixels. 0 keeps every "
                    "picture at its own size. The Tiny Checkpoint needs 96.",
                ),
                io.Combo.Input(
                    "crop",
                    options=["center", "none"],
                    advanced=True,
                    tooltip="center: a square from the middle. none: the whole picture, scaled to about resolution x "
                    "resolution pixels in its own shape.",
                ),
                io.Boolean.Input(
                    "flip",
                    default=False,
                    advanced=True,
                    tooltip="Also train on the mirror image of every picture. Not for concepts with writing or a side.",
                ),
                io.Int.Input(
                    "crops",
                    default=0,
                    min=0,
                    max=16,
                    advanced=True,
                    tooltip="Also train on this many random crops of every picture, each at least 85 % of its sides.",
                ),
                io.Vae.Input("vae", tooltip="The VAE of the model that will be trained."),
                io.Mask.Input(
                    "masks",
                    optional=True,
                    tooltip="Where the concept is in each picture, 1 there and 0 elsewhere: one mask a picture, a list "
                    "or a batch. Without any, the method 'anchored' finds masks by itself; see Concept Masks.",
                ),
            ],
            outputs=[
                Dataset.Output("dataset", display_name="dataset", tooltip="For Train Extractor and Pure Learning.")
            ],
        )

    @classmethod
    def execute(
        cls, images, captions, class_word, kind, resolution, crop, flip, crops, vae, masks=None
    ) -> io.NodeOutput:
        return io.NodeOutput(
            build(images, captions, class_word[0], kind[0], vae[0], resolution[0], crop[0], flip[0], crops[0], masks)
        )
