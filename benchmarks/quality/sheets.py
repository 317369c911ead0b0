"""Paint contact sheets to judge by eye: results/concepts.png and results/sheet-CONCEPT.png.

The pictures of a concept are those of the last step and seed 0 of `run.py PHASE`, which keeps them in build/quality:

    COMFYUI_PATH=... python benchmarks/quality/sheets.py ablate|claim|unseen
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(ROOT / "scripts")]

SHOWN = {"requested": 3, "pair": 1, "unnamed": 3, "class": 2, "other": 2, "unrelated": 2}
"""Pictures of each group, in columns."""
LABEL = 170
METHODS_SHOWN = (
    "lora-token", "prior", "dop", "bpp", "ewc", "released", "lambda-5", "purecc", "purecc-base", "anchored",
    "anchored-unmasked", "anchored-true", "anchored-lambda",
)  # fmt: skip
"""In rows, those of them that were run."""


def main() -> None:
    """Paint the sheets."""
    import torch
    from pack import load_pack

    torch.set_num_threads(1)
    load_pack()
    from bench import World, true_scene
    from concepts import CONCEPTS
    from methods import METHODS
    from PIL import Image, ImageDraw
    from prompts import asked
    from run import RESULTS, STATE

    from purecc_pack.tiny_world.scenes import draw

    phase = sys.argv[1] if len(sys.argv) > 1 else "claim"
    world = World(STATE)

    def sheet(rows: list[tuple[str, list[Image.Image]]], path: Path, heads: Sequence[str] = ()) -> None:
        side = rows[0][1][0].width + 2
        width = LABEL + side * max(len(pictures) for _, pictures in rows)
        out = Image.new("RGB", (width, 14 * bool(heads) + side * len(rows)), "white")
        canvas = ImageDraw.Draw(out)
        for column, head in enumerate(heads):
            canvas.text((LABEL + column * side + 2, 1), head, fill="black")
        for number, (title, pictures) in enumerate(rows):
            top = 14 * bool(heads) + number * side
            label = title.replace(", ", "\n").replace("λ", "lambda")  # Pillow's own font has no Greek
            canvas.multiline_text((4, top + 30), label, fill="black")
            for column, picture in enumerate(pictures):
                out.paste(picture, (LABEL + column * side, top))
        out.quantize(256, kmeans=1).save(path, optimize=True)

    sheet([(f"{c.name}, {c.difficulty}", c.pictures) for c in CONCEPTS.values()], RESULTS / "concepts.png")
    for concept in CONCEPTS.values():
        whole = asked(concept)
        numbers = [k for g, n in SHOWN.items() for k in [i for i, a in enumerate(whole) if a.group == g][:n]]
        files = {key: STATE / phase / concept.name / f"{key}-0.pt" for key in METHODS_SHOWN}
        drawn = {"base": STATE / "base" / f"{concept.name}-0.pt"}
        drawn |= {METHODS[key].title: path for key, path in files.items() if path.is_file()}
        if len(drawn) == 1:
            continue
        wanted = [whole[k] for k in numbers if whole[k].group == "requested"]
        rows = [("references", concept.pictures), ("asked for", [draw(true_scene(concept, a)) for a in wanted])]
        for title, path in drawn.items():
            latents = torch.load(path, weights_only=True)
            latents = latents[max(latents)] if isinstance(latents, dict) else latents
            images = world.vae.decode(latents[numbers].float()).clamp(0, 1)
            rows.append((title, [Image.fromarray((i * 255).round().byte().numpy()) for i in images]))
        sheet(rows, RESULTS / f"sheet-{concept.name}.png", [whole[k].group for k in numbers])


if __name__ == "__main__":
    main()
