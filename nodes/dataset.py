"""Pictures and captions to a concept dataset."""

from comfy_api.latest import io

from ..purecc.host import datasets
from ..purecc.host.showing import say, show, shown
from ..purecc.host.stored import prepare_stored
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
            "(instance), 'a house by a lake, in [v] style' (style). Three to ten pictures are enough. The node "
            "shows each as it will be cropped, with its texts, and in red what cannot be used.",
            search_aliases=[
                "training images",
                "dreambooth dataset",
                "captions",
                "references",
                "contact sheet",
                "kohya",
            ],
            is_input_list=True,
            is_output_node=True,
            inputs=[
                io.Image.Input("images", optional=True, tooltip="The reference pictures: a list, or a batch."),
                io.String.Input(
                    "captions",
                    multiline=True,
                    default="",
                    tooltip="A caption for each picture, one a line or a connected list, or one caption for all. Mark "
                    "the concept by [v] before the class word and name what else is in the picture. A caption without "
                    "[v] is marked before its class word: 'a dog on grass' is read as 'a [v] dog on grass'. Left "
                    "wholly empty, every picture is captioned 'a [v] CLASS', with what is in scene.",
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
                    tooltip="center: a square from the middle. none: the picture in about its own shape, scaled to "
                    "about resolution x resolution pixels and trimmed a little, so that pictures of like shape share a "
                    "batch.",
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
                io.String.Input(
                    "scene",
                    multiline=True,
                    default="",
                    optional=True,
                    tooltip="The short form, for pictures without captions: what else is in them, one line for all or "
                    "a line for each. 'on a red sofa' gives 'a [v] dog, on a red sofa'; for a style 'a house by a "
                    "lake' gives 'a house by a lake, in [v] style'.",
                ),
                io.String.Input(
                    "trigger",
                    default="",
                    optional=True,
                    advanced=True,
                    tooltip="A word that stands for the concept in captions made for another trainer, such as sks or "
                    "ohwx. It is read as [v].",
                ),
                io.Latent.Input(
                    "latents",
                    optional=True,
                    tooltip="In place of images: the latents of the stock Load Training Dataset, made with this VAE. "
                    "They are trained on as they are; resolution and crop do not matter. Captions are needed as ever, "
                    "in the same order: its conditioning has no words.",
                ),
            ],
            outputs=[
                Dataset.Output("dataset", display_name="dataset", tooltip="For Train Extractor and Pure Learning.")
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls, captions, class_word, kind, resolution, crop, flip, crops, vae, images=None, masks=None, scene=("",),
        trigger=("",), latents=None,
    ) -> io.NodeOutput:  # fmt: skip
        read = {"masks": masks, "scene": "\n".join(scene), "trigger": trigger[0]}
        if latents:
            _check_latents(images, flip[0], crops[0])
            references = prepare_stored(latents, vae[0], captions, class_word[0], kind[0], **read)
        else:
            form = {"resolution": resolution[0], "crop": crop[0], "flip": flip[0], "crops": crops[0]}
            references = datasets.prepare(images or (), captions, class_word[0], kind[0], **form, **read)
        sheet, node_id = shown(datasets.sheet(references)), cls.hidden.unique_id
        problems = [r.problem for r in references if r.problem]
        say("\n".join([datasets.title(references) + ":" * bool(problems), *problems]), node_id)  # some show no breaks
        if problems:
            show(sheet, node_id)
        return io.NodeOutput(datasets.encode(references, vae[0], class_word[0], kind[0]), ui=sheet)


def _check_latents(images: list | None, flip: bool, crops: int) -> None:
    if images:
        raise ValueError("Both images and latents are connected: connect the references as one or the other.")
    if flip or crops:
        raise ValueError(
            "Latents are trained on as they are, so there are no mirror images and no crops of them: set flip to false "
            "and crops to 0, or connect images."
        )
