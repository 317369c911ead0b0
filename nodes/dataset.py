"""Images and captions to a concept dataset."""

from functools import partial

from comfy_api.latest import io

from ..purecc.host.data.image_tensors import Cropping, multiple
from ..purecc.host.data.input_folders import shortened
from ..purecc.host.data.reference_sheet import same_captions, sheet, title
from ..purecc.host.data.references import OnImage, Reference, encode, prepare
from ..purecc.host.data.stored_latents import prepare_stored
from ..purecc.host.ui.cards import cards
from ..purecc.host.ui.events import say, show, shown
from ..purecc.host.ui.preparing import Preparing
from ..purecc.text.captions import CaptionInput
from ..purecc.text.class_word import class_word_fault, concept_of
from ..purecc.text.concept import Concept
from .checked import Node
from .types import CATEGORY, Dataset
from .workflow import workflow_id


class ConceptDataset(Node):
    """Builds a dataset."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PureCCConceptDataset",
            display_name="Concept Dataset",
            category=CATEGORY,
            description="Build a dataset from images of one concept and captions in which [v] marks it: 'a [v] robot "
            "on a table' (instance), 'a house by a lake, in [v] style' (style). Three to ten images are enough. The "
            "node shows each image as it will be cropped, with its texts; problems are red.",
            search_aliases=[
                *("training images", "photos", "caption", "captions", "dreambooth", "dreambooth dataset", "kohya"),
                *("style", "character", "face", "subject", "person", "teach", "references", "contact sheet"),
            ],
            is_input_list=True,
            is_output_node=True,
            inputs=[
                io.Image.Input("images", optional=True, tooltip="Reference images: a list or a batch."),
                io.String.Input(
                    "captions",
                    multiline=True,
                    default="",
                    tooltip="One caption per image, one per line or as a connected list, or one caption for all. Put "
                    "[v] before the class word and describe everything else in the image. Without [v] the class word "
                    "is marked: 'a dog on grass' becomes 'a [v] dog on grass'. If empty, every caption is 'a [v] "
                    "CLASS' plus scene.",
                ),
                io.String.Input(
                    "class_word",
                    default="",
                    tooltip="What the concept is one of: dog, woman, toy. It follows [v] in captions. A style needs "
                    "none.",
                ),
                io.Combo.Input(
                    "kind",
                    options=["instance", "style"],
                    tooltip="Kind of concept. instance: one particular thing. style: a way of drawing anything.",
                ),
                io.Int.Input(
                    "resolution",
                    default=512,
                    min=0,
                    max=2048,
                    step=16,
                    tooltip="Side in pixels to which images are cropped and scaled. 0 keeps each image's size. The "
                    "Tiny Checkpoint needs 96.",
                ),
                io.Combo.Input(
                    "crop",
                    options=["center", "none"],
                    advanced=True,
                    tooltip="center crops a square from the middle. none keeps about the image's shape, scaled to "
                    "about resolution x resolution pixels and trimmed slightly, so that images of similar shape share "
                    "a batch.",
                ),
                io.Boolean.Input(
                    "flip",
                    default=False,
                    advanced=True,
                    tooltip="Also train on mirrored images. Leave it off for concepts with writing or a left and right "
                    "side.",
                ),
                io.Int.Input(
                    "crops",
                    default=0,
                    min=0,
                    max=16,
                    advanced=True,
                    tooltip="Also train on N random crops of every image, each at least 85 % of its sides. 0 disables "
                    "it.",
                ),
                io.Vae.Input("vae", tooltip="VAE of the model to be trained."),
                io.Mask.Input(
                    "masks",
                    optional=True,
                    tooltip="Masks of the concept, one per image, as a list or a batch: 1 inside, 0 outside. If none "
                    "are connected, the method anchored finds them; see Concept Masks.",
                ),
                io.String.Input(
                    "scene",
                    multiline=True,
                    default="",
                    optional=True,
                    tooltip="For images without captions: what else is in them, one line for all or one per image. "
                    "'on a red sofa' gives 'a [v] dog, on a red sofa'; for a style 'a house by a lake' gives 'a house "
                    "by a lake, in [v] style'.",
                ),
                io.String.Input(
                    "trigger",
                    default="",
                    optional=True,
                    tooltip="Word that names the concept in your captions or tags, such as sks or ohwx. It is read as "
                    "[v]. Leave it empty if the captions have [v] or no such word.",
                ),
                io.Latent.Input(
                    "latents",
                    optional=True,
                    tooltip="Latents from the stock Load Training Dataset, instead of images, encoded with this VAE. "
                    "They are used unchanged: resolution and crop have no effect. Captions are still required, in the "
                    "same order.",
                ),
            ],
            outputs=[
                Dataset.Output(
                    "dataset", display_name="dataset", tooltip="Dataset for Train Extractor and Pure Learning."
                )
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.extra_pnginfo],
        )

    @classmethod
    def validate_inputs(cls, class_word=None, kind=None) -> bool | str:
        """Return True, or what is wrong with the words; the host calls it when a prompt is queued."""
        if not class_word or not kind:  # over a wire
            return True
        if not isinstance(class_word[0], str):
            return f"class_word is {class_word[0]!r}, which is no text. Write what your images show, in a word."
        return class_word_fault(class_word[0], kind[0]) or True

    @classmethod
    def execute(cls, **values) -> io.NodeOutput:
        concept = concept_of(values["class_word"][0], values["kind"][0])
        node_id = cls.hidden.unique_id
        told = Preparing(node_id, workflow_id(cls.hidden.extra_pnginfo))
        references = _references(values, concept, partial(told.image, "phase_read_images"))
        problems = [r.problem for r in references if r.problem]
        same = same_captions(references)
        lines = [*problems, *same, *(r.remark for r in references if r.remark)]
        heading = {"purecc_title": ["\n".join([title(references), *same])]}
        image = {**shown(sheet(references)), "purecc_cards": cards(references), **heading}
        say("\n".join([title(references) + ":" * bool(lines), *shortened(lines)]), node_id)  # some show no breaks
        if problems:
            show(image, node_id)
        dataset = encode(references, values["vae"][0], concept, partial(told.image, "phase_encode_images"))
        told.end()
        return io.NodeOutput(dataset, ui=image)


def _references(values: dict[str, list], concept: Concept, begun: OnImage) -> list[Reference]:
    """Return the references of the node's inputs, each of which is a list."""
    only = {name: entries[0] for name, entries in values.items() if entries}
    given = CaptionInput(values["captions"], "\n".join(values.get("scene") or ()), only.get("trigger", ""))
    if latents := values.get("latents"):
        _check_latents(values.get("images"), only["flip"], only["crops"])
        return prepare_stored(latents, only["vae"], given, concept, values.get("masks"))
    cropping = Cropping(only["resolution"], only["crop"], only["flip"], only["crops"], multiple(only["vae"]))
    return prepare(values.get("images") or (), given, concept, cropping, values.get("masks"), begun)


def _check_latents(images: list | None, flip: bool, crops: int) -> None:
    if images:
        raise ValueError("Both images and latents are connected. Connect only one of them.")
    if flip or crops:
        raise ValueError(
            f"Latents cannot be mirrored or cropped, but flip is {flip} and crops is {crops}. Set flip to false and "
            "crops to 0, or connect images."
        )
