"""Compare the found masks of all references with the true ones: results/masks.md and results/masks.png."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(ROOT / "scripts")]


def figures(mask: Tensor, true: Tensor) -> tuple[float, float, float]:
    """Return IoU of a mask [h, w] with the true one, and the shares of the concept and of the rest that it covers."""
    a, b = mask > 0.5, true > 0.5
    inside = float((mask * true).sum() / true.sum())
    outside = float((mask * (1 - true)).sum() / (1 - true).sum())
    return float((a & b).sum() / (a | b).sum()), inside, outside


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
        kept = find_masks(world.models, world.dataset(concept), Silent().phase, companion=())
        scores, strip = [], []
        for item, whole in zip(masked.dataset.items, kept.dataset.items, strict=True):
            picture = Image.fromarray((item.image * 255).round().byte().numpy())
            assert item.mask is not None and whole.mask is not None
            mask, before, true = item.mask[0, 0], whole.mask[0, 0], world.true_mask(concept, item)[0, 0]
            scores.append((*figures(mask, true), *figures(before, true)))
            shown = (before, mask, true) if masked.companion else (mask, true)
            strip += [picture, *(Image.fromarray((m * 255).byte().numpy()).resize(picture.size) for m in shown)]
        means = [f"{sum(column) / len(scores):.2f}" for column in zip(*scores, strict=True)]
        with_it = means[3:] if masked.companion else [""] * 3
        lines.append([concept.name, concept.difficulty, masked.companion, *means[:3], *with_it])
        strips.append(strip)
    head = "Masks that the base finds beside the true ones: `masks.py`. In brackets: with the companion kept.\n\n"
    measured = ["IoU", "concept covered", "rest covered"]
    text = head + table(["concept", "references", "left out", *measured, *(f"({m})" for m in measured)], lines)
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
