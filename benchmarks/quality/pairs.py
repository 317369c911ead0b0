"""Judge pairs of images blind: two methods at one prompt and one seed, beside the drawing that was asked for.

    COMFYUI_PATH=... python benchmarks/quality/pairs.py sheets [--seeds 0 1]   # numbered pairs in build/quality/pairs
    COMFYUI_PATH=... python benchmarks/quality/pairs.py compare     # labels in results/pairs.txt -> results/pairs.md

The pairs are of the second claim: plain LoRA and two stages on class images, `EACH` prompts of every set and seed.
Sides are drawn at random; the judge, a vision-language model, sees neither the method nor the seed. The question: which
image shows the right thing (this individual with its marks), once, where it was asked for, on the ground that was asked
for? A line of results/pairs.txt is a number and a (left), b (right) or = (neither is better).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(ROOT / "scripts")]
PAIR = ("lora-token", "two-stages-node")
EACH = 14
SIDE, ACROSS, DOWN = 144, 3, 7
PHASE = "second-claim"


def chosen(sets: Sequence[str], seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yield what is judged, in the order of its numbers: set, seed, prompt, and which method is on the left."""
    rng, rows = Random("pairs, judged again"), []
    for seed in seeds:
        of_seed = []
        for name in sets:
            for prompt in sorted(rng.sample(range(16), EACH)):
                of_seed.append({"concept": name, "seed": seed, "prompt": prompt, "left": rng.choice(PAIR)})
        rng.shuffle(of_seed)
        rows += of_seed
    for number, row in enumerate(rows):
        yield {"number": number, **row}


def sheets(seeds: Sequence[int]) -> None:
    """Paint the sheets from the pictures that `run.py second-claim` has kept, and write which is which."""
    import torch
    from pack import load_pack

    torch.set_num_threads(1)
    load_pack()
    from bench import World, true_scene
    from concepts import CONCEPTS
    from PIL import Image, ImageDraw
    from prompts import asked
    from run import RESULTS, STATE, tasks

    from purecc_pack.tiny_world.scenes import draw

    world, sets = World(STATE), [task.concept for task in tasks(PHASE, [], [], [0])]
    rows = list(chosen(sets, seeds))

    def image(row: dict, method: str) -> Image.Image:
        drawn = torch.load(STATE / PHASE / row["concept"] / f"{method}-{row['seed']}.pt", weights_only=True)
        latents = drawn[max(drawn)][row["prompt"]][None].float()
        return Image.fromarray((world.vae.decode(latents)[0].clamp(0, 1) * 255).round().byte().numpy())

    folder, a_sheet = STATE / "pairs", ACROSS * DOWN
    folder.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(rows), a_sheet):
        out = Image.new("RGB", (ACROSS * (3 * SIDE + 20), DOWN * (SIDE + 18)), "white")
        canvas = ImageDraw.Draw(out)
        for place, row in enumerate(rows[start : start + a_sheet]):
            concept, methods = CONCEPTS[row["concept"]], PAIR if row["left"] == PAIR[0] else PAIR[::-1]
            wanted = draw(true_scene(concept, asked(concept, {"requested": 16})[row["prompt"]]))
            x, y = place % ACROSS * (3 * SIDE + 20), place // ACROSS * (SIDE + 18)
            canvas.text((x + 2, y + 3), f"{row['number']}: asked for, a, b", fill="black")
            for k, picture in enumerate((wanted, *(image(row, m) for m in methods))):
                out.paste(picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS), (x + k * (SIDE + 2), y + 16))
        out.save(folder / f"{start // a_sheet:02}.png")
    (RESULTS / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    print(f"{len(rows)} pairs of {', '.join(sets)} in {folder}")


def compare() -> None:
    """Write how often either method is preferred, by set."""
    from pack import load_pack

    load_pack()
    from report import RESULTS, rows, table
    from statistics_of_runs import Figure, bootstrap

    lines = (RESULTS / "pairs.txt").read_text(encoding="utf-8").splitlines()
    labels = {int(number): label for number, label in (line.split() for line in lines)}
    judged = [{**row, "better": better(row, labels[row["number"]])} for row in rows("pairs") if row["number"] in labels]
    keys = [(r["concept"], r["number"]) for r in judged]
    row_of = dict(zip(keys, judged, strict=True))

    def share(wanted: str) -> Figure:
        return lambda keys: sum(row_of[k]["better"] == wanted for k in keys) / len(keys)

    def won(keys: Sequence) -> float:
        decided = [row_of[k]["better"] for k in keys if row_of[k]["better"]]
        return decided.count(PAIR[1]) / len(decided) if decided else float("nan")

    names = ["all", *sorted({r["concept"] for r in judged})]
    cells = []
    for name in names:
        mine = [k for k in keys if name in ("all", k[0])]
        counts = [sum(row_of[k]["better"] == who for k in mine) for who in (PAIR[1], PAIR[0], "")]
        decided = bootstrap(keys, won) if name == "all" else f"{won(mine):.2f}" if counts[0] + counts[1] else "-"
        cells.append([name, len(mine), *counts, decided])
    text = (
        "# Pairs, judged blind\n\n"
        f"{len(judged)} pairs of the second claim (`pairs.py`): LoRA and two stages on class images at one prompt and "
        "seed, sides at random; one judge, a vision-language model, which saw neither the method nor the seed. Which "
        "shows the right thing, once, where it was asked for?\n\n"
        + table(["set", "pairs", "two stages", "LoRA", "neither", "two stages, of those decided"], cells)
    )
    (RESULTS / "pairs.md").write_text(text, encoding="utf-8")
    print(text)


def better(row: dict, label: str) -> str:
    """Return the method that a label names; empty where neither is better.

    Raises:
        ValueError: the label is none.
    """
    if label not in ("a", "b", "="):
        raise ValueError(f"pair {row['number']} is judged {label!r}: write a, b or =")
    right = PAIR[0] if row["left"] == PAIR[1] else PAIR[1]
    return {"a": row["left"], "b": right, "=": ""}[label]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["sheets", "compare"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    given = parser.parse_args()
    sheets(given.seeds) if given.what == "sheets" else compare()
