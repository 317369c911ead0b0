"""Write results/bases.md, and with --sheet results/bases.webp: one concept on three kinds of base.

    COMFYUI_PATH=... python benchmarks/quality/bases_page.py [--sheet]

The sheet needs the images of seed 0 of `run.py ablate --base tiny|unet|flux`, which build/quality keeps.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(ROOT / "scripts")]

from report import COLUMNS, RESULTS, Runs, last_step, rows, table  # noqa: E402
from statistics_of_runs import mean_of  # noqa: E402

HEADS = ("thing", "colour", "background", "all three", "position", "style", "two things")
KEPT = ("class", "follow", "change", "drift")
"""The figures of preservation."""
PAIR = ("anchored-node", "lora-token")


def titles() -> dict[str, str]:
    """Return the titles of the bases by name, the embedded one first."""
    from bases import BASES

    return {name: base.title for name, base in BASES.items()}


def compared(name: str) -> Runs | None:
    """Return the runs of the compared methods on the concept; None if a base has none yet."""
    from bases import COMPARED, CONCEPT

    found = [r for r in rows(f"{name}/ablate") if r["label"] in COMPARED]
    found.sort(key=lambda r: COMPARED.index(r["label"]))
    runs = Runs([r for r in found if r["concept"] == CONCEPT and r["seed"] < 3])
    return runs if runs.keys else None


def prompts_followed() -> str:
    """Return how often each base draws what held-out prompts name, of those that were measured."""
    lines = []
    for name, title in titles().items():
        path = RESULTS / name / "base.json"
        if path.is_file():
            found = json.loads(path.read_text(encoding="utf-8"))
            made = found.get("training", {})
            size = f"{made['parameters'] / 1e6:.1f} M" if made else "-"
            said = f"{made['steps']} x {made['batch']}" if made else "-"
            shares = [f"{found['agreement'][head]:.1%}" for head in HEADS]
            lines.append([title, size, said, f"{made.get('seconds', 0) / 60:.0f} min", found["count"], *shares])
    header = ["base", "parameters", "steps x images", "wall time", "images", *HEADS]
    return table(header, lines) if lines else "Not measured yet.\n"


def searched(name: str) -> str:
    """Return the score of every rate of the search on a base, and which the comparison runs at."""
    from bases import BASES, COMPARED, GRID

    base, lines = BASES[name], []
    for key in COMPARED:
        cells = []
        for rate in GRID:
            points = base.scores[key].get(rate)
            text = "-" if points is None else f"{points:.2f}"
            cells.append(f"**{text}**" if base.rates.get(key) == rate else text)
        lines.append([key, *cells])
    return table(["method", *(f"{rate:g}" for rate in GRID)], lines)


def kept(found: dict[str, Runs]) -> str:
    """Return the figures of preservation of the default method beside LoRA's, base by base, seeds' means."""
    lines = []
    for name, runs in found.items():
        if set(PAIR) <= runs.curves.keys():
            cells = []
            for figure in KEPT:
                ours, plain = (mean_of(runs.curves[m], figure, runs.last)(runs.keys) for m in PAIR)
                ground = sum(runs.base[k][figure] for k in runs.keys) / len(runs.keys)
                cells.append(f"{ours:.3f} ({plain:.3f}; {ground:.3f})")
            share = [mean_of(runs.curves[m], "drift", runs.last)(runs.keys) for m in PAIR]
            lines.append([titles()[name], *cells, f"{share[0] / share[1]:.2f}"])
    return table(["base", *(COLUMNS[figure] for figure in KEPT), "drift / LoRA's"], lines)


def page() -> str:
    """Return the page."""
    from bases import BASES, CONCEPT, EMBEDDED, NOTES

    found = {name: runs for name in titles() if (runs := compared(name))}
    text = [
        "# Three kinds of base\n",
        f"Is the model preserved on other kinds of network? The concept *{CONCEPT}* on the embedded base and on two "
        "small bases that are not shipped. They learned the same drawn world with the same text encoder and "
        "autoencoder; only the denoiser is new. `scripts/train_tiny.py kind unet` and `kind flux` make them.\n",
        "This page is written by `bases_page.py`. Rows: `run.py search --base BASE`, `run.py ablate --base BASE`.\n",
    ]
    if (RESULTS / "bases.webp").is_file():
        text.append("![Images of each base and of what was trained on it](bases.webp)\n")
    text += ["## What was found\n", *(f"{note}\n" for note in NOTES)]
    text += [
        "## Is the rest preserved?\n",
        "*Anchored*, in brackets LoRA and the base itself, at the last step, means over seeds. The base's own image "
        "change compares two of its seeds.\n",
        kept(found),
    ]
    for name, title in titles().items():
        text.append(f"## {title}\n")
        if name not in found:
            text.append("No runs yet.\n")
            continue
        seeds = ", ".join(str(seed) for _, seed in found[name].keys)
        text += [f"Seeds {seeds}, {found[name].last} steps a stage.\n", last_step(found[name], list(COLUMNS))]
    text += [
        "## How good the bases are\n",
        "Stock sampling (euler, simple, 28 steps, cfg 4) of held-out combinations: share of images in which the probe "
        "reads what the prompt names. PureCC Tiny has 100 % of all three "
        "([model card](../../../purecc/tiny/MODEL_CARD.md#figures)).\n",
        prompts_followed(),
        "## Rates\n",
        "The score of [the search](search.md) by rate: two seeds, 120 steps, one grid for every method and base. Bold: "
        "the rate of the comparison. A method that is not searched on a base has its rate of the embedded base.\n",
    ]
    for name, base in BASES.items():
        if name == EMBEDDED:
            continue
        text.append(
            f"{base.title}:\n\n{searched(name)}" if rows(f"{name}/search") else f"{base.title}: not searched.\n"
        )
    return "\n".join(text)


def sheet() -> None:
    """Paint results/bases.webp: for each base its own images, then those of each method, seed 0."""
    import torch
    from pack import load_pack

    torch.set_num_threads(1)
    load_pack()
    from bases import COMPARED, CONCEPT
    from concepts import CONCEPTS
    from methods import METHODS
    from PIL import Image, ImageDraw
    from prompts import asked
    from run import STATE
    from sheets import LABEL, SHOWN

    from purecc_pack.purecc.host.models.tiny import load_tiny_checkpoint

    vae, whole = load_tiny_checkpoint([])[2], asked(CONCEPTS[CONCEPT])
    numbers = [k for g, n in SHOWN.items() for k in [i for i, a in enumerate(whole) if a.group == g][:n]]
    lines: list[tuple[str, list[Image.Image]]] = []
    for name, title in titles().items():
        own = STATE / name
        paths = {"base": own / "base" / f"{CONCEPT}-0.pt"}
        paths |= {METHODS[key].title: own / "ablate" / CONCEPT / f"{key}-0.pt" for key in COMPARED}
        for label, path in paths.items():
            if path.is_file():
                latents = torch.load(path, weights_only=True)
                latents = latents[max(latents)] if isinstance(latents, dict) else latents
                images = vae.decode(latents[numbers].float()).clamp(0, 1)
                painted = [Image.fromarray((i * 255).round().byte().numpy()) for i in images]
                lines.append((f"{title.split(',')[0]}\n{label}".replace("λ", "lambda"), painted))
    side = 98
    out = Image.new("RGB", (LABEL + side * len(numbers), 14 + side * len(lines)), "white")
    canvas = ImageDraw.Draw(out)
    for column, k in enumerate(numbers):
        canvas.text((LABEL + column * side + 2, 1), whole[k].group, fill="black")
    for row, (label, images) in enumerate(lines):
        canvas.multiline_text((4, 44 + row * side), label, fill="black")
        for column, image in enumerate(images):
            out.paste(image, (LABEL + column * side, 14 + row * side))
    out.save(RESULTS / "bases.webp", quality=82, method=6)


def main() -> None:
    """Write the page, and the sheet if it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sheet", action="store_true", help="paint the sheet too")
    if parser.parse_args().sheet:
        sheet()
    from pack import load_pack

    load_pack()
    (RESULTS / "bases.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
