"""Compare the found masks of all references with the true ones: results/masks.md and results/masks.png."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(ROOT / "scripts")]


def main() -> None:
    """Compute the masks, compare them with the drawing code's segmentation and paint both."""
    import torch
    from pack import load_pack

    torch.set_num_threads(1)
    load_pack()
    from bench import World
    from concepts import CONCEPTS
    from measuring import Silent
    from PIL import Image
    from report import table

    from purecc_pack.purecc.host.training.find_masks import find_masks

    world = World(ROOT / "build" / "quality")
    lines, strips = [], []
    for concept in CONCEPTS.values():
        if concept.kind == "style":
            continue
        masked = find_masks(world.models, world.dataset(concept), Silent().phase)
        scores, strip = [], []
        for item in masked.items:
            picture = Image.fromarray((item.image * 255).round().byte().numpy())
            assert item.mask is not None
            mask, true = item.mask[0, 0], world.true_mask(concept, item)[0, 0]
            a, b = mask > 0.5, true > 0.5
            inside = float((mask * true).sum() / true.sum())
            outside = float((mask * (1 - true)).sum() / (1 - true).sum())
            scores.append((float((a & b).sum() / (a | b).sum()), inside, outside))
            strip += [picture, *(Image.fromarray((m * 255).byte().numpy()).resize(picture.size) for m in (mask, true))]
        means = [sum(column) / len(scores) for column in zip(*scores, strict=True)]
        lines.append([concept.name, concept.difficulty, *(f"{m:.2f}" for m in means)])
        strips.append(strip)
    head = "Masks that the base finds beside the true ones: `masks.py`.\n\n"
    text = head + table(["concept", "references", "IoU", "concept covered", "rest covered"], lines)
    (HERE / "results" / "masks.md").write_text(text, encoding="utf-8")
    side = strips[0][0].width + 2
    sheet = Image.new("RGB", (side * max(map(len, strips)), side * len(strips)), "white")
    for row, strip in enumerate(strips):
        for column, picture in enumerate(strip):
            sheet.paste(picture.convert("RGB"), (column * side, row * side))
    sheet.save(HERE / "results" / "masks.png")
    print(text)


if __name__ == "__main__":
    main()
