"""The nodes that load the embedded base model and the example concept."""

from comfy_api.latest import io

from ..purecc.host.data.image_tensors import from_pil
from ..purecc.host.models.tiny import load_tiny_models
from ..purecc.tiny import concept
from .checked import Node
from .types import CATEGORY


class TinyCheckpoint(Node):
    """Loads PureCC Tiny."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PureCCTinyCheckpoint",
            display_name="Tiny Checkpoint",
            category=CATEGORY,
            description="Load PureCC Tiny, the small base model included in this pack: Stable Diffusion 3.5's "
            "architecture, trained on drawn scenes of 96 x 96 pixels. Use it to try everything without a download or a "
            "GPU.",
            search_aliases=["purecc tiny", "embedded model", "demo model"],
            outputs=[
                io.Model.Output(tooltip="Diffusion model."),
                io.Clip.Output(tooltip="Text encoder, a small CLIP-L."),
                io.Vae.Output(tooltip="Autoencoder (VAE)."),
            ],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        return io.NodeOutput(*load_tiny_models())


class ExampleConcept(Node):
    """Loads the five reference images included in the pack."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PureCCExampleConcept",
            display_name="Example Concept",
            category=CATEGORY,
            description="Load five captioned images of one robot, for the Tiny Checkpoint. All have the same red "
            "striped background, which no caption mentions: this tests whether a method learns the background too.",
            search_aliases=["demo dataset", "example images"],
            outputs=[
                io.Image.Output("images", display_name="images", is_output_list=True, tooltip="The five images."),
                io.String.Output(
                    "captions", display_name="captions", is_output_list=True, tooltip="One caption per image, with [v]."
                ),
            ],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        return io.NodeOutput([from_pil(i) for i in concept.reference_images()], concept.reference_captions())
