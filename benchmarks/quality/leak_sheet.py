"""Paint what comes along with a concept, for the eye: COMFYUI_PATH=... python benchmarks/quality/leak_sheet.py

Every set of the second claim is a row: two training images, then one prompt at one seed as the base, LoRA and ours
draw it, from the pictures that `run.py second-claim` keeps in build/quality. The prompt is the first of those that
leave open what the training images share. A ring marks an image in which the probe sees it all the same.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(ROOT / "scripts")]

SEED = 2
METHODS_SHOWN = {"lora-token": "LoRA", "anchored-fit": "anchored", "two-stages-node": "PureCC, class images"}
"""By the label of their rows; the title of each column."""
SIDE, GAP, LINE = 128, 6, 16


def main() -> None:
    """Paint the sheet."""
    import torch
    from pack import load_pack

    torch.set_num_threads(1)
    load_pack()
    from bench import World
    from concepts import CONCEPTS
    from PIL import Image, ImageDraw
    from prompts import FEWER, asked
    from run import RESULTS, SECOND, STATE, tasks

    world, sets = World(STATE), [task.concept for task in tasks(SECOND, [], [], [SEED])]
    heads = ("training images", "", "base", *METHODS_SHOWN.values())
    width = len(heads) * (SIDE + GAP) + GAP
    sheet = Image.new("RGB", (width, LINE + len(sets) * (SIDE + 2 * LINE)), "white")
    canvas = ImageDraw.Draw(sheet)
    for column, head in enumerate(heads):
        canvas.text((GAP + column * (SIDE + GAP), 2), head, fill="black")
    for number, name in enumerate(sets):
        concept, top = CONCEPTS[name], LINE + number * (SIDE + 2 * LINE)
        prompts = asked(concept, FEWER)
        k = next(k for k, a in enumerate(prompts) if a.group == "unnamed")
        files = [STATE / "base" / f"{name}-{SEED}-{len(prompts)}.pt"]
        files += [STATE / SECOND / name / f"{label}-{SEED}.pt" for label in METHODS_SHOWN]
        drawn = [torch.load(file, weights_only=True) for file in files]
        latents = torch.stack([(d[max(d)] if isinstance(d, dict) else d)[k].float() for d in drawn])
        answers = world.probe.read(latents).words[concept.confound[0]]
        pixels = (world.vae.decode(latents).clamp(0, 1) * 255).round().byte().numpy()
        references = [*concept.pictures[:2], *[None] * (2 - len(concept.pictures[:2]))]
        shared = f"{name}, all share: {concept.difficulty}"
        canvas.text((GAP, top + 2), f"{shared}. Asked for: {prompts[k].text}", fill="black")
        for column, picture in enumerate((*references, *map(Image.fromarray, pixels))):
            if picture is None:
                continue
            left, y = GAP + column * (SIDE + GAP), top + LINE
            sheet.paste(picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS), (left, y))
            if column >= 2 and answers[column - 2] == concept.confound[1]:
                canvas.ellipse((left + 3, y + 3, left + SIDE - 4, y + SIDE - 4), outline="red", width=4)
    sheet.quantize(256, kmeans=1).save(RESULTS / "leaks.png", optimize=True)
    print(f"{len(sets)} sets in {RESULTS / 'leaks.png'}")


if __name__ == "__main__":
    main()
