"""A folder of images and captions."""

from __future__ import annotations

from comfy_api.latest import io

from ..purecc.host.data.input_folders import input_folder, input_folders, load
from ..purecc.host.ui.events import say
from ..purecc.host.ui.node_progress import NodeProgress
from ..purecc.text.image_folder import fingerprint, read_folder
from .checked import Node
from .types import CATEGORY


class ImageFolder(Node):
    """Loads a folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PureCCImageFolder",
            display_name="Image Folder",
            category=CATEGORY,
            description="Load images, captions and masks from a folder inside ComfyUI's input folder, sorted by name: "
            "photo.jpg with its caption in photo.txt and its mask in photo-masklabel.png. kohya folders (10_dog) work "
            "unchanged. Photos are turned upright, transparency becomes white, 16-bit greys keep their tones.",
            search_aliases=[
                *("photos", "add photos", "upload images", "load folder", "load dataset", "face", "character", "style"),
                *("kohya", "dreambooth", "dreambooth folder", "caption", "captions from txt"),
            ],
            inputs=[
                io.Combo.Input(
                    "folder",
                    options=input_folders(),
                    tooltip="Folder inside ComfyUI's input folder. Press R to refresh the list.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "images",
                    display_name="images",
                    is_output_list=True,
                    tooltip="Images for Concept Dataset, each at its own size.",
                ),
                io.String.Output(
                    "captions",
                    display_name="captions",
                    is_output_list=True,
                    tooltip="Captions for Concept Dataset. Images without a text file have an empty caption.",
                ),
                io.Mask.Output(
                    "masks",
                    display_name="masks",
                    is_output_list=True,
                    tooltip="Masks for Concept Dataset, 1 inside the concept. Images without a mask file have an empty "
                    "mask, and training finds it.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def fingerprint_inputs(cls, folder):
        return fingerprint(read_folder(input_folder(folder)).entries)

    @classmethod
    def execute(cls, folder) -> io.NodeOutput:
        found = read_folder(input_folder(folder))
        progress = NodeProgress(cls.hidden.unique_id, "images", len(found.entries))
        loaded = load(found.entries, progress.advance)
        count = len(found.entries)
        say(
            "\n".join([f"{count} image{'s' * (count > 1)}, {loaded.size / 1e6:.0f} MB.", *found.remarks]),
            cls.hidden.unique_id,
        )
        return io.NodeOutput(loaded.images, loaded.captions, loaded.masks)
