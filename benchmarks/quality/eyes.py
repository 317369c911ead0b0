"""The probe's word against a person's: pictures judged by eye with the method hidden.

    COMFYUI_PATH=... python benchmarks/quality/eyes.py sheets     # numbered pictures in build/quality/eyes
    COMFYUI_PATH=... python benchmarks/quality/eyes.py compare    # labels in results/eyes.txt -> results/eyes.md

A sheet shows pairs: what was asked for, as the drawing code draws it, and beside it what a method drew. The judge sees
neither the method nor the seed. A line of results/eyes.txt is a number and y where the right picture shows the concept
(this individual with its marks, in one piece; or this style) on the ground that was asked for, else n.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from random import Random
from statistics import fmean

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(ROOT / "scripts")]
EACH = 4
"""Pictures of a set and a method."""
SIDE, ACROSS, DOWN = 144, 4, 6


def sheets() -> None:
    """Draws the sheets from the pictures that `run.py claim` has kept, and writes which is which."""
    import torch
    from pack import load_pack

    torch.set_num_threads(1)
    load_pack()
    import measures
    from bench import World, _true
    from concepts import CLAIM, CONCEPTS
    from methods import CLAIMED
    from PIL import Image, ImageDraw
    from prompts import asked
    from run import RESULTS, STATE

    from purecc_pack.purecc.tiny.scenes import draw

    world, rng = World(STATE), Random("eyes")
    found = []
    for name in CLAIM:
        concept = CONCEPTS[name]
        requested = asked(concept, {"requested": 16})
        for method in CLAIMED:
            for seed, k in rng.sample([(seed, k) for seed in range(5) for k in range(16)], EACH):
                drawn = torch.load(STATE / "claim" / name / f"{method}-{seed}.pt", weights_only=True)
                latents = drawn[max(drawn)][k : k + 1].float()
                shown = measures.fidelity(concept, requested[k : k + 1], world.probe.read(latents)) == 1
                image = (world.vae.decode(latents)[0].clamp(0, 1) * 255).round().byte().numpy()
                row = {"concept": name, "method": method, "seed": seed, "prompt": k, "probe": shown}
                found.append((row, draw(_true(concept, requested[k])), Image.fromarray(image)))
    rng.shuffle(found)
    folder, a_sheet = STATE / "eyes", ACROSS * DOWN
    folder.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(found), a_sheet):
        out = Image.new("RGB", (ACROSS * (2 * SIDE + 16), DOWN * (SIDE + 18)), "white")
        canvas = ImageDraw.Draw(out)
        for place, (_, true, image) in enumerate(found[start : start + a_sheet]):
            x, y = place % ACROSS * (2 * SIDE + 16), place // ACROSS * (SIDE + 18)
            canvas.text((x + 2, y + 3), str(start + place), fill="black")
            for side, picture in enumerate((true, image)):
                out.paste(picture.resize((SIDE, SIDE), Image.LANCZOS), (x + side * (SIDE + 2), y + 16))
        out.save(folder / f"{start // a_sheet}.png")
    lines = "".join(json.dumps({"number": number, **row}) + "\n" for number, (row, _, _) in enumerate(found))
    (RESULTS / "eyes.jsonl").write_text(lines, encoding="utf-8")


def compare() -> None:
    """Writes how often eye and probe agree, and what either says of every method."""
    from pack import load_pack

    load_pack()
    from methods import CLAIMED, METHODS
    from report import RESULTS, rows, table

    labels = dict(line.split() for line in (RESULTS / "eyes.txt").read_text(encoding="utf-8").splitlines())
    judged = [{**row, "eye": labels[str(row["number"])] == "y"} for row in rows("eyes")]
    lines = []
    for name, chosen in [
        ("all", judged),
        *((METHODS[m].title, [r for r in judged if r["method"] == m]) for m in CLAIMED),
        *((c, [r for r in judged if r["concept"] == c]) for c in dict.fromkeys(r["concept"] for r in judged)),
    ]:
        eye, probe = fmean(r["eye"] for r in chosen), fmean(r["probe"] for r in chosen)
        agree = fmean(r["eye"] == r["probe"] for r in chosen)
        chance = eye * probe + (1 - eye) * (1 - probe)
        kappa = f"{(agree - chance) / (1 - chance):.2f}" if chance < 1 else "-"
        only = [sum(r[a] and not r[b] for r in chosen) for a, b in (("probe", "eye"), ("eye", "probe"))]
        lines.append([name, len(chosen), f"{eye:.2f}", f"{probe:.2f}", f"{agree:.2f}", kappa, *only])
    header = ["", "pictures", "by eye", "by the probe", "agree", "Cohen's κ", "only the probe says yes", "only the eye"]
    text = "# The probe against the eye\n\nConcept on the requested background, last step of the claims.\n\n"
    (RESULTS / "eyes.md").write_text(text + table(header, lines), encoding="utf-8")
    print(table(header, lines))


if __name__ == "__main__":
    {"sheets": sheets, "compare": compare}[sys.argv[1]]()
