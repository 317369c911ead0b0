"""Use concepts that are saved: one, or two in one prompt."""

from .describe import Column, Graph, Node, note
from .families import SD35
from .parts import compare
from .teach import FOLDER, files_note
from .try_it import save

STYLE = "my_style"
SIZE = {"width": SD35.side, "height": SD35.side, "batch_size": 1}


def load(name: str, title: str) -> Node:
    """Return a node that loads an adapter."""
    return Node("PureCCLoadAdapter", {"adapter_name": f"{name}.safetensors"}, {}, title)


def use() -> Graph:
    """Return the workflow that draws with a saved concept, beside the base model."""
    nodes = {
        "files": files_note(SD35),
        **SD35.loaders,
        "concept": load(FOLDER, "Load your concept"),
        "how": note("In the prompt `[v]` stands for the concept: `a photo of a [v] on a beach`."),
        "compare": Node(
            compare(SD35.latent, SD35.sampling),
            {"text": "a photo of a [v] on a beach at sunset", **SIZE},
            {**SD35.base, "adapter": "concept.adapter"},
        ),
        "before": save("use_before", "compare.before", "The base model", 300),
        "after": save("use_after", "compare.after", "With your concept", 300),
    }
    return Graph(
        nodes,
        [
            Column("Your model and concept", ["files", *SD35.loaders, "concept"]),
            Column("Your prompt", ["how", "compare"]),
            Column("Pictures", ["before", "after"]),
        ],
    )


def two() -> Graph:
    """Return the workflow that draws a thing in a style, both learned."""
    nodes = {
        "files": files_note(SD35),
        **SD35.loaders,
        "thing": load(FOLDER, "Load the thing"),
        "style": load(STYLE, "Load the style"),
        "strengths": note(
            "Each concept has its own strength. Teach a style like a thing, with *kind* style and captions such as `a "
            "house by a lake, in [v] style`."
        ),
        "apply": Node(
            "PureCCApplyAdapter", {}, {**apply_to(), "adapter": "thing.adapter", "adapter_2": "style.adapter"}
        ),
        "words": note("Each concept has its own word. Leave one out to draw only the other."),
        "prompt": Node(
            "CLIPTextEncode",
            {"text": f"a photo of a embedding:{FOLDER} robot on a beach at sunset, in embedding:{STYLE} style"},
            {"clip": "apply.CLIP"},
            "Prompt",
            140,
        ),
        "negative": Node("CLIPTextEncode", {}, {"clip": "apply.CLIP"}, "Negative prompt"),
        "latent": Node(SD35.latent, SIZE),
        "draw": Node(
            "KSampler",
            {**SD35.sampling, "seed": 42},
            {"model": "apply.MODEL", "positive": "prompt.CONDITIONING", "negative": "negative.CONDITIONING"}
            | {"latent_image": "latent.LATENT"},
        ),
        "decode": Node("VAEDecode", {}, {"samples": "draw.LATENT", "vae": SD35.vae}),
        "picture": save(f"{FOLDER}_{STYLE}", "decode.IMAGE", "The thing in the style", 300),
    }
    return Graph(
        nodes,
        [
            Column("Your model and two concepts", ["files", *SD35.loaders, "thing", "style"]),
            Column("Apply both", ["strengths", "apply"]),
            Column("Your prompt", ["words", "prompt", "negative", "latent"]),
            Column("Draw", ["draw"]),
            Column("Decode", ["decode"], 240),
            Column("Picture", ["picture"]),
        ],
    )


def apply_to() -> dict[str, str]:
    """Return what feeds a node that takes MODEL and CLIP alone."""
    return {name: source for name, source in SD35.base.items() if name != "vae"}
