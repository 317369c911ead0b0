"""The embedded base model and the embedded example concept."""

import folder_paths
from comfy_api.latest import io

from ..purecc.host.latents import from_pil
from ..purecc.host.tiny import load_tiny_checkpoint
from ..purecc.tiny import concept
from .types import CATEGORY


class TinyCheckpoint(io.ComfyNode):
    """Loads PureCC Tiny."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PureCCTinyCheckpoint",
            display_name="Tiny Checkpoint",
            category=CATEGORY,
            description="The small base model that comes with the pack: Stable Diffusion 3.5's architecture, trained "
            "on drawn scenes of 96 x 96 pixels. For trying everything out without a download and without a GPU.",
            search_aliases=["purecc tiny", "embedded model", "demo model"],
            outputs=[
                io.Model.Output(tooltip="The diffusion model."),
                io.Clip.Output(tooltip="The text encoder, a small CLIP-L."),
                io.Vae.Output(tooltip="The autoencoder."),
            ],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        model, clip, vae = load_tiny_checkpoint(folder_paths.get_folder_paths("embeddings"))
        return io.NodeOutput(model, clip, vae)


class ExampleConcept(io.ComfyNode):
    """The five references that come with the pack."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PureCCExampleConcept",
            display_name="Example Concept",
            category=CATEGORY,
            description="Five pictures of one robot with their captions, for the Tiny Checkpoint. All stand before the "
            "same red stripes, which no caption names: what a trainer makes of that is the test.",
            search_aliases=["demo dataset", "example images"],
            outputs=[
                io.Image.Output("images", display_name="images", is_output_list=True, tooltip="The five pictures."),
                io.String.Output(
                    "captions", display_name="captions", is_output_list=True, tooltip="A caption for each, with [v] in."
                ),
            ],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        return io.NodeOutput([from_pil(i) for i in concept.reference_images()], concept.reference_captions())
