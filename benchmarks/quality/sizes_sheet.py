"""Paint things taken from near by, for the eye: COMFYUI_PATH=... python benchmarks/quality/sizes_sheet.py

Every set of `run.py sizes` is a row: a training image as it is and made smaller, then the first requested prompt at one
seed as the base, LoRA and ours draw it, from the pictures that `run.py sizes` keeps in build/quality.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(ROOT / "scripts")]

SEED = 0
METHODS_SHOWN = {
    "lora-token": "LoRA",
    "anchored-apart": "anchored, as it is",
    "anchored-fit": "made smaller",
    "two-stages-large": "PureCC, as it is",
    "two-stages-late": "made smaller",
}
"""By the label of their rows; the title of each column."""
SIDE, GAP, LINE = 128, 6, 16


def main() -> None:
    """Paint the sheet."""
    import torch
    from pack import load_pack

    torch.set_num_threads(1)
    load_pack()
    import folder_paths
    from bench import World, _job
    from concepts import CONCEPTS, NEAR
    from measuring import Budget, Silent
    from methods import METHODS
    from PIL import Image, ImageDraw
    from prompts import asked
    from run import RESULTS, STATE

    from purecc_pack.purecc.host.training.session import prepared

    folder_paths.set_user_directory(str((STATE / "user").resolve()))
    world = World(STATE)
    world.cache = True

    def picture(pixels: torch.Tensor) -> Image.Image:
        return Image.fromarray((pixels.clamp(0, 1) * 255).round().byte().numpy())

    def references(name: str) -> list[Image.Image]:
        """Return the first training image, and what training makes of it."""
        seen: list[Any] = []

        class Looking(Silent):
            def masks(self, dataset) -> None:
                seen.append(dataset)

        concept = CONCEPTS[name]
        job = _job(concept, METHODS["anchored-fit"], SEED, Budget(1, (), False))
        with prepared(world.models, world.dataset(concept), job, Looking()):
            return [picture(dataset.items[0].image) for dataset in seen[:2]]

    heads = ("training image", "made smaller", "base", *METHODS_SHOWN.values())
    sheet = Image.new("RGB", (len(heads) * (SIDE + GAP) + GAP, LINE + len(NEAR) * (SIDE + 2 * LINE)), "white")
    canvas = ImageDraw.Draw(sheet)
    for column, head in enumerate(heads):
        canvas.text((GAP + column * (SIDE + GAP), 2), head, fill="black")
    for number, name in enumerate(NEAR):
        prompts, top = asked(CONCEPTS[name]), LINE + number * (SIDE + 2 * LINE)
        k = next(k for k, a in enumerate(prompts) if a.group == "requested")
        files = [STATE / "base" / f"{name}-{SEED}-{len(prompts)}.pt"]
        files += [STATE / "sizes" / name / f"{label}-{SEED}.pt" for label in METHODS_SHOWN]
        drawn = [torch.load(file, weights_only=True) for file in files]
        latents = torch.stack([(d[max(d)] if isinstance(d, dict) else d)[k].float() for d in drawn])
        canvas.text((GAP, top + 2), f"{name}. Asked for: {prompts[k].text}", fill="black")
        for column, shown in enumerate((*references(name), *map(picture, world.vae.decode(latents)))):
            resized = shown.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            sheet.paste(resized, (GAP + column * (SIDE + GAP), top + LINE))
    sheet.quantize(256, kmeans=1).save(RESULTS / "sizes.png", optimize=True)
    print(f"{len(NEAR)} sets in {RESULTS / 'sizes.png'}")


if __name__ == "__main__":
    main()
