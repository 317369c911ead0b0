"""A folder of pictures and captions."""

from __future__ import annotations

from pathlib import Path

import folder_paths
from comfy_api.latest import io

from ..purecc import folder as folders
from ..purecc.host.latents import from_pil
from .types import CATEGORY


class ImageFolder(io.ComfyNode):
    """Reads a folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PureCCImageFolder",
            display_name="Image Folder",
            category=CATEGORY,
            description="Pictures and captions of a folder of ComfyUI's input folder, in the order of their names: "
            "photo.jpg and beside it photo.txt. kohya's folders (10_dog) work as they are. Photos stand upright, "
            "transparency becomes white, 16-bit greys keep their tones.",
            search_aliases=["load folder", "kohya", "dreambooth folder", "load dataset", "captions from txt"],
            inputs=[
                io.Combo.Input(
                    "folder",
                    options=folder_paths.get_input_subfolders(),
                    tooltip="A folder in ComfyUI's input folder. Press R to see one that is new.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "images",
                    display_name="images",
                    is_output_list=True,
                    tooltip="The pictures, each at its own size. For Concept Dataset.",
                ),
                io.String.Output(
                    "captions",
                    display_name="captions",
                    is_output_list=True,
                    tooltip="Their captions, empty where there is no text file. For Concept Dataset.",
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, folder):
        return folders.fingerprint(folders.entries(_place(folder)))

    @classmethod
    def execute(cls, folder) -> io.NodeOutput:
        found = [entry for entry in folders.entries(_place(folder)) for _ in range(entry.repeats)]
        captions = [folders.caption(entry) for entry in found]
        return io.NodeOutput([from_pil(folders.picture(entry.path)) for entry in found], captions)


def _place(folder: str) -> Path:
    """The folder, which is one of ComfyUI's input folder and no other.

    Raises:
        ValueError: it is not.
    """
    root = folder_paths.get_input_directory()
    place = Path(root) / folder
    if not folder_paths.is_within_directory(root, str(place)) or not place.is_dir():
        raise ValueError(f"{folder!r} is no folder of ComfyUI's input folder: put your pictures there and press R.")
    return place
