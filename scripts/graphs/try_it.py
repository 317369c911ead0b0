"""Try it: a concept from start to finish on the embedded base model, without a download."""

from .describe import Column, Graph, Node, note
from .parts import compare, learn

SAMPLING = {"steps": 28, "cfg": 4.0, "sampler_name": "euler", "scheduler": "simple"}
SIZE = {"width": 96, "height": 96, "batch_size": 4}
POOL = """a red car on snow in flat style
a white house on sand in ink style
a blue boat on waves in photo style
a blue cup on snow in pixel style
a white fish on a night sky in ink style
a yellow fish on grass in photo style
a green tree on bricks in pixel style
an orange car on a night sky in flat style
a yellow star on blue dots in flat style
a purple heart on waves in ink style
a pink cup on red stripes in flat style
a red umbrella on bricks in photo style
an orange heart on grass in flat style
a pink star on red stripes in pixel style
a purple umbrella on sand in photo style
a white tree on blue dots in flat style"""
DRIFT = """a red car on sand in flat style
a blue fish on waves in ink style
a green tree on snow in pixel style
a yellow star on a night sky in flat style
a pink cup on bricks in flat style
a white house on grass in ink style"""
PROMPT = "a [v] robot in the middle on grass in flat style"
TRAINING = {
    "learning_rate": 0.008,
    "embedding_learning_rate": 0.04,
    "batch_size": 4,
    "rank": 8,
    "warmup_steps": 10,
    "drift_prompts": DRIFT,
    "sample_prompt": PROMPT,
    "pool_prompts": POOL,
}
"""What suits the embedded base model, and what it can draw."""
BASE = {"model": "tiny.MODEL", "clip": "tiny.CLIP", "vae": "tiny.VAE"}


def save(kind: str, source: str, title: str, height: int = 270) -> Node:
    """Return a node that saves pictures under a name that scripts know."""
    return Node("SaveImage", {"filename_prefix": f"purecc/{kind}"}, {"images": source}, title, height)


def try_it() -> Graph:
    """Return the workflow."""
    nodes = {
        "about": note(
            "**Teach a concept from start to finish**, on the small base model included in this pack. Press Run."
            "\n\nThe base model has never seen this robot: two antennas, purple and yellow, a checked chest. All five "
            "images have the *same red striped background*, which no caption mentions.",
            190,
        ),
        "tiny": Node("PureCCTinyCheckpoint"),
        "concept": Node("PureCCExampleConcept"),
        "references": save("references", "concept.images", "The five reference images", 300),
        "learn": Node(
            learn({}, TRAINING),
            {"class_word": "robot", "resolution": 96, "name": "quickstart_robot", "overwrite": True} | {"steps": 100},
            {**BASE, "images": "concept.images", "captions": "concept.captions"},
        ),
        "masks": save("masks", "learn.masks", "Bright areas were learned", 300),
        "curves": save("curves", "learn.curves", "Loss and drift", 280),
        "compare": Node(
            compare(sampling=SAMPLING),
            {"text": PROMPT, **SIZE},
            {**BASE, "adapter": "learn.adapter"},
        ),
        "before": save("base", "compare.before", "Before: the base model", 280),
        "after": save("customised", "compare.after", "After: this one robot", 280),
    }
    return Graph(
        nodes,
        [
            Column("A model and five images", ["about", "tiny", "concept"], 264),
            Column("Teach it the concept", ["learn", "references"], 264),
            Column("What was learned", ["masks", "curves"], 264),
            Column("Ask for it", ["compare"], 264),
            Column("Before and after", ["before", "after"], 264),
        ],
    )
