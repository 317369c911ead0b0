"""The paper's two stages: an extractor, then pure learning with λ*."""

from .describe import Column, Graph, Node, note
from .families import SD35
from .parts import compare
from .teach import FOLDER, files_note, images_note
from .try_it import BASE, DRIFT, PROMPT, SAMPLING, SIZE, save

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


def stages(base: dict, dataset: Node, names: tuple[str, str], training: dict, overwrite: bool) -> dict[str, Node]:
    """Return the nodes of both stages.

    Args:
        base: what feeds the inputs model, clip and vae.
        dataset: Concept Dataset.
        names: of the extractor and the adapter.
        training: values of both training nodes.
        overwrite: of Save Adapter.
    """
    first, second = ({**training, "name": name} for name in names)
    saved = {"overwrite": overwrite}
    return {
        "dataset": dataset,
        "stage_1": note(
            "Stage 1 learns what the reference images have in common: the concept, and everything else they share. The "
            "extractor is not for generating; it guides stage 2."
        ),
        "extract": Node("PureCCTrainExtractor", first, {**base, "dataset": "dataset.dataset"}),
        "stage_2": note(
            "A new LoRA learns the concept. At every step the extractor gives the concept's direction, λ\\* sets how "
            "far to go along it, and the loss pulls back movement in other directions."
        ),
        "learn": Node(
            "PureCCPureLearning",
            {**second, "method": "PureCC (paper)"},
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


def try_it() -> Graph:
    """Return the workflow on the embedded base model."""
    dataset = Node(
        "PureCCConceptDataset",
        {"class_word": "robot", "resolution": 96},
        {"vae": "tiny.VAE", "images": "concept.images", "captions": "concept.captions"},
    )
    nodes = {
        "about": note(
            "**PureCC as in the paper, in two stages**, on the small base model included in this pack. Press Run; it "
            "takes a few minutes on two CPU cores.\n\nThe base model has never seen this robot. All five images have "
            "the *same red striped background*, which no caption mentions.",
            190,
        ),
        "tiny": Node("PureCCTinyCheckpoint"),
        "concept": Node("PureCCExampleConcept"),
        "references": save("two_stages_references", "concept.images", "The five reference images"),
        **stages(BASE, dataset, ("two_stages_extractor", "two_stages_robot"), TINY, True),
        "drawn_curves": save("two_stages_curves", "curves.IMAGE", "Loss, λ* and drift"),
        "compare": Node(
            compare(sampling=SAMPLING),
            {"text": PROMPT, **SIZE},
            {**BASE, "adapter": "learn.adapter"},
        ),
        "before": save("two_stages_base", "compare.before", "Before: the base model"),
        "after": save("two_stages_customised", "compare.after", "After: this one robot"),
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
        **stages(SD35.base, dataset, (f"{FOLDER}_extractor", FOLDER), {"preset": "paper"}, False),
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
