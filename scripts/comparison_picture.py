"""Make docs/comparison.png: the base model, plain LoRA and anchored learning at the same prompts and seeds.

    python3 scripts/comparison_picture.py

Trains both methods on the bundled robot in a real ComfyUI server for the benchmark's 200 steps: anchored with the
settings of the workflow 1_try_it, LoRA with the benchmark's settings, whose rate a search chose for it
(benchmarks/quality/methods.py). Prompts and seeds were fixed before the first image was drawn; all images are shown.
"""

import io
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import host
import serving
import studio
import workflow
from client import Client

PICTURE = host.ROOT / "docs" / "comparison.png"
STEPS, SEEDS = 200, 4  # images at seeds 0, 1, 2, 3; training seed 0, as in the quickstart
LORA = {"method": "LoRA", "learning_rate": 0.001, "embedding_learning_rate": 0.005}
LORA |= {"target_layers": "attention and mlp"}
PROMPTS = {
    "a [v] robot in flat style": "this robot, background left open",
    "a [v] robot on grass in flat style": "this robot, background named",
    "a robot in flat style": "any robot, background left open",
    "a red car in flat style": "another thing, background left open",
}
METHODS = {"base": "base model", "lora": "plain LoRA", "anchored": "anchored (ours)"}
REFERENCES = "training images: one robot, always on red stripes"
NOTES = (
    f"Every row: one prompt at seeds 0 to {SEEDS - 1}, the same for all three models.",
    f"Both methods: {STEPS} training steps on the five images on the left.",
    "The base model gets the prompts without [v].",
)
SAMPLED = {"seed": 0, "seeds": SEEDS, "steps": 28, "cfg": 4.0, "sampler_name": "euler", "scheduler": "simple"}
SAMPLED |= {"width": 96, "height": 96, "negative": "", "batch_size": SEEDS}
STRENGTHS = {f"strength{part}": 1.0 for part in ("", "_2", "_3", "_4")}
CELL, GAP, MARGIN, LINE = 96, 4, 16, 24  # pixels
GROUP = SEEDS * (CELL + GAP) + 3 * GAP  # from one model's first column to the next one's
INK, PALE = (40, 44, 52), (110, 116, 126)


def graph(info: dict) -> dict:
    """Return the API-format prompt that trains both methods and samples all images.

    The nodes that save images are named "references" and as the keys of `METHODS`.

    Args:
        info: the server's node definitions.
    """
    saved = json.loads((host.ROOT / "workflows" / "1_try_it.json").read_text(encoding="utf-8"))
    quickstart = workflow.to_api(saved, info)
    (train,) = named(quickstart, "PureCCPureLearning")
    (concept,) = named(quickstart, "PureCCExampleConcept")
    settings = quickstart[train]["inputs"] | {"steps": STEPS, "sample_every": 0}
    base = {key: settings[key] for key in ("model", "clip")}
    asked = SAMPLED | base | {"vae": settings["vae"], "prompts": "\n".join(PROMPTS)}
    asked |= {"class_word": "robot", "kind": "instance"}
    prompt = {name: quickstart[name] for name in quickstart if feeds(quickstart, name, train)}
    for name, changes in {"lora": LORA, "anchored": {}}.items():
        key = f"{name}_robot"
        customised = {"customised_model": [f"apply {name}", 0], "customised_clip": [f"apply {name}", 1]}
        prompt |= {
            f"train {name}": node("PureCCPureLearning", settings | changes | {"name": key}),
            f"apply {name}": node("PureCCApplyAdapter", base | STRENGTHS | {"adapter": [f"train {name}", 0]}),
            f"sample {name}": node("PureCCProtocolPictures", asked | customised | {"trigger": f"embedding:{key}"}),
            name: save([f"sample {name}", 2]),
        }
    return prompt | {"references": save([concept, 0]), "base": save(["sample lora", 1])}


def node(kind: str, inputs: dict) -> dict:
    """Return a node in the API format."""
    return {"class_type": kind, "inputs": inputs}


def save(source: list) -> dict:
    """Return a node that saves the images of an output, [node, index]."""
    return node("SaveImage", {"images": source, "filename_prefix": "purecc/comparison"})


def named(prompt: dict, kind: str) -> list[str]:
    """Return the names of an API-format prompt's nodes of one class."""
    return [name for name, one in prompt.items() if one["class_type"] == kind]


def feeds(prompt: dict, name: str, target: str) -> bool:
    """Return whether the node `name` feeds `target`, directly or through others."""
    sources = [value[0] for value in prompt[target]["inputs"].values() if isinstance(value, list)]
    return name in sources or any(feeds(prompt, name, source) for source in sources)


def sheet(images: Mapping[str, Sequence]):
    """Return the labelled picture.

    Args:
        images: PIL images by output node: the references; of each model all seeds of the first prompt, then of the
            second, and so on.
    """
    from PIL import Image, ImageDraw, ImageFont

    pitch = LINE + CELL + 2 * GAP
    top = MARGIN + pitch + LINE
    size = (2 * MARGIN + len(METHODS) * GROUP - 4 * GAP, top + len(PROMPTS) * pitch + MARGIN - 2 * GAP)
    picture = Image.new("RGB", size, "white")
    pen, bold, face = ImageDraw.Draw(picture), ImageFont.load_default(17), ImageFont.load_default(14)

    def row(left: int, top: int, cells: Sequence) -> None:
        for k, cell in enumerate(cells):
            picture.paste(cell.convert("RGB"), (left + k * (CELL + GAP), top))

    pen.text((MARGIN, MARGIN), REFERENCES, fill=INK, font=bold)
    row(MARGIN, MARGIN + LINE, images["references"])
    for k, line in enumerate(NOTES):
        left = MARGIN + len(images["references"]) * (CELL + GAP) + 4 * GAP
        pen.text((left, MARGIN + LINE + k * LINE), line, fill=PALE, font=face)
    for k, (name, title) in enumerate(METHODS.items()):
        left = MARGIN + k * GROUP
        pen.text((left, top - LINE), title, fill=INK, font=bold)
        for n in range(len(PROMPTS)):
            row(left, top + n * pitch + LINE - GAP, images[name][n * SEEDS : (n + 1) * SEEDS])
    for n, (prompt, meaning) in enumerate(PROMPTS.items()):
        pen.text((MARGIN, top + n * pitch), prompt, fill=INK, font=face)
        pen.text((MARGIN + face.getlength(prompt) + 3 * GAP, top + n * pitch), meaning, fill=PALE, font=face)
    return picture


def make() -> None:
    """Make the picture, in an environment that has everything."""
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        serving.link_pack(base)
        with serving.Server(Path(sys.executable), Path(os.environ["COMFYUI_PATH"]), base) as server:
            client = Client(server.address)
            outputs = client.run(graph(client.object_info()), silence=1800)
            images = {
                name: [Image.open(io.BytesIO(client.image(image))) for image in outputs[name]["images"]]
                for name in ("references", *METHODS)
            }
    picture = sheet(images).quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    picture.save(PICTURE, optimize=True)


if __name__ == "__main__":
    sys.exit(studio.run(__file__, make))
