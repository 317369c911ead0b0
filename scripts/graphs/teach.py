"""Teach your model from photos: one workflow a family."""

from .describe import Column, Graph, Node, note
from .families import Family
from .parts import compare, learn

FOLDER = "my_concept"


def files_note(family: Family) -> Node:
    """Return the note that says which files the family needs."""
    lines = "\n".join(f"- {files} in `models/{folder}`" for folder, files in family.files.items())
    remark = f"\n\n{family.remark}" if family.remark else ""
    return note(f"**{family.name}**. It needs:\n\n{lines}\n\nThen press R.{remark}", 160)


def images_note() -> Node:
    """Return the note that says what to do with photos."""
    return note(
        "**Your photos**: press *Add images…* and choose three to ten photos of one thing. Say in *class_word* what it "
        "is: `dog`, `mug`, `person`. A text file beside each photo can describe the rest of the image: `a [v] dog on a "
        "red sofa`. Then press Run.",
        140,
    )


def teach(family: Family) -> Graph:
    """Return the workflow that teaches a model of the family."""
    size = {"width": family.side, "height": family.side, "batch_size": 1}
    nodes = {
        "files": files_note(family),
        **family.loaders,
        "how": images_note(),
        "photos": Node("PureCCImageFolder", {"folder": FOLDER}),
        "learn": Node(
            learn(),
            {"name": FOLDER},
            {**family.base, **{name: f"photos.{name}" for name in ("images", "captions", "masks")}},
        ),
        "compare": Node(
            compare(family.latent, family.sampling),
            {"text": "a photo of a [v] on a beach at sunset", **size},
            {**family.base, "adapter": "learn.adapter"},
        ),
        "before": Node(
            "SaveImage",
            {"filename_prefix": f"purecc/{FOLDER}_before"},
            {"images": "compare.before"},
            "Before: your model",
            360,
        ),
        "after": Node(
            "SaveImage",
            {"filename_prefix": f"purecc/{FOLDER}_after"},
            {"images": "compare.after"},
            "After: your concept",
            360,
        ),
    }
    return Graph(
        nodes,
        [
            Column("Your model and photos", ["files", *family.loaders, "photos"]),
            Column("Teach it the concept", ["how", "learn"]),
            Column("Try it", ["compare"]),
            Column("Before and after", ["before", "after"]),
        ],
    )
