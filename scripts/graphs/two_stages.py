"""Two stages, an extractor and then pure learning: the paper's, with λ*, and on images of the class."""

from .describe import Column, Graph, Node, note
from .families import SD35
from .parts import compare
from .teach import FOLDER, files_note, images_note
from .try_it import BASE, DRIFT, PROMPT, SAMPLING, SIZE, TRAINING, save

TINY = {
    "steps": 300,
    "batch_size": 10,
    "learning_rate": 0.002,
    "embedding_learning_rate": 0.005,
    "rank": 8,
    "target_layers": "attention and mlp",
    "schedule": "cosine",
    "drift_prompts": DRIFT,
    "sample_prompt": PROMPT,
}
"""What suits the embedded base model."""


PAPER = (
    "Stage 1 learns what the reference images have in common: the concept, and everything else they share. The "
    "extractor is not for generating; it guides stage 2.",
    "A new LoRA learns the concept. At every step the extractor gives the concept's direction, λ\\* sets how far to go "
    "along it, and the loss pulls back movement in other directions.",
)
"""What the paper's stages do."""

GROUNDS = """on red stripes
on blue dots
on grass
on sand
on a night sky
on bricks
on snow
on waves"""
STYLES = """in flat style
in photo style
in ink style
in pixel style"""
PURE = {**TRAINING, "steps": 100, "places": "auto"}
CLASS_IMAGES = (
    {**PURE, "method": "anchored", "steps": 75},
    {
        **PURE,
        "steps": 125,
        **{"method": "PureCC (class images)", "learning_rate": 0.008, "embedding_learning_rate": 0.04},
        **{"class_grounds": GROUNDS, "class_styles": STYLES},
    },
)
"""Values of the two nodes that learn on images of the class, as measured on the embedded base model."""


def stages(
    base: dict,
    dataset: Node,
    names: tuple[str, str],
    training: tuple[dict, dict],
    overwrite: bool,
    said: tuple[str, str] = PAPER,
) -> dict[str, Node]:
    """Return the nodes of both stages.

    Args:
        base: what feeds the inputs model, clip and vae.
        dataset: Concept Dataset.
        names: of the extractor and the adapter.
        training: values of the training nodes.
        overwrite: of Save Adapter.
        said: notes on the stages.
    """
    first, second = ({**values, "name": name} for values, name in zip(training, names, strict=True))
    saved = {"overwrite": overwrite}
    return {
        "dataset": dataset,
        "stage_1": note(said[0]),
        "extract": Node("PureCCTrainExtractor", first, {**base, "dataset": "dataset.dataset"}),
        "stage_2": note(said[1]),
        "learn": Node(
            "PureCCPureLearning",
            second,
            {**base, "dataset": "dataset.dataset", "extractor": "extract.extractor"},
        ),
        "save_extractor": Node("PureCCSaveAdapter", saved, {"adapter": "extract.extractor"}, "Save the extractor"),
        "save": Node("PureCCSaveAdapter", saved, {"adapter": "learn.adapter"}, "Save the concept"),
        "curves": Node("PureCCTrainingCurves", {}, {"loss": "learn.loss"}),
    }


def columns(first: list[str], dataset: list[str], last: list[str], pictures: list[str]) -> list[Column]:
    """Return the columns of a graph with both stages between what comes first and last."""
    return [
        Column("A model and images", first),
        Column("The dataset", dataset),
        Column("Stage 1: the extractor", ["stage_1", "extract"]),
        Column("Stage 2: pure learning", ["stage_2", "learn"]),
        Column("Save and try it", ["save_extractor", "save", "curves", *last]),
        Column("Before and after", pictures),
    ]


def paper(training: dict) -> tuple[dict, dict]:
    """Return the values of the paper's two nodes."""
    return training, {**training, "method": "PureCC (paper)"}


def try_it() -> Graph:
    """Return the paper's workflow on the embedded base model."""
    return _try_it(
        "**PureCC as in the paper, in two stages**, on the small base model included in this pack. Press Run; it takes "
        "a few minutes on two CPU cores.\n\nThe base model has never seen this robot. All five images have the *same "
        "red striped background*, which no caption mentions.",
        "two_stages",
        paper(TINY),
        "Loss, λ* and drift",
    )


def class_images() -> Graph:
    """Return the workflow on images of the class, on the embedded base model."""
    return _try_it(
        "**PureCC on class images, in two stages**, on the small base model included in this pack. Press Run; it takes "
        "a few minutes on two CPU cores.\n\nThe base model has never seen this robot. All five images have the *same "
        "red striped background*, which no caption mentions.",
        "class_images",
        CLASS_IMAGES,
        "Loss and drift",
        (
            "Stage 1 learns the concept inside the masks. What all images share around it can still come along.",
            "A new LoRA learns what the extractor adds to robots that the base model generates, on other backgrounds "
            "and in other places. Of the reference images it sees details alone, so the background stays out.",
        ),
    )


def _try_it(about: str, prefix: str, training: tuple[dict, dict], curves: str, said: tuple[str, str] = PAPER) -> Graph:
    dataset = Node(
        "PureCCConceptDataset",
        {"class_word": "robot", "resolution": 96},
        {"vae": "tiny.VAE", "images": "concept.images", "captions": "concept.captions"},
    )
    nodes = {
        "about": note(about, 190),
        "tiny": Node("PureCCTinyCheckpoint"),
        "concept": Node("PureCCExampleConcept"),
        "references": save(f"{prefix}_references", "concept.images", "The five reference images"),
        **stages(BASE, dataset, (f"{prefix}_extractor", f"{prefix}_robot"), training, True, said),
        "drawn_curves": save(f"{prefix}_curves", "curves.IMAGE", curves),
        "compare": Node(
            compare(sampling=SAMPLING),
            {"text": PROMPT, **SIZE},
            {**BASE, "adapter": "learn.adapter"},
        ),
        "before": save(f"{prefix}_base", "compare.before", "Before: the base model"),
        "after": save(f"{prefix}_customised", "compare.after", "After: this one robot"),
    }
    return Graph(
        nodes,
        columns(
            ["about", "tiny", "concept"], ["dataset", "references"], ["compare"], ["drawn_curves", "before", "after"]
        ),
    )


def sd35() -> Graph:
    """Return the workflow for Stable Diffusion 3.5, with the paper's settings."""
    photos = {name: f"photos.{name}" for name in ("images", "captions", "masks")}
    dataset = Node("PureCCConceptDataset", {}, {"vae": SD35.vae, **photos})
    size = {"width": SD35.side, "height": SD35.side, "batch_size": 1}
    nodes = {
        "files": files_note(SD35),
        **SD35.loaders,
        "how": images_note(),
        "photos": Node("PureCCImageFolder", {"folder": FOLDER}),
        **stages(SD35.base, dataset, (f"{FOLDER}_extractor", FOLDER), paper({"preset": "paper"}), False),
        "drawn_curves": save(f"{FOLDER}_curves", "curves.IMAGE", "Loss and λ*"),
        "compare": Node(
            compare(SD35.latent, SD35.sampling),
            {"text": "a photo of a [v] on a beach at sunset", **size},
            {**SD35.base, "adapter": "learn.adapter"},
        ),
        "before": save(f"{FOLDER}_before", "compare.before", "Before: the base model"),
        "after": save(f"{FOLDER}_after", "compare.after", "After"),
    }
    return Graph(
        nodes,
        columns(
            ["files", *SD35.loaders, "photos"], ["how", "dataset"], ["compare"], ["drawn_curves", "before", "after"]
        ),
    )
