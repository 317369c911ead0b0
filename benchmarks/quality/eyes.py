"""Compare the probe with blind judging: images judged one by one with the method hidden.

    COMFYUI_PATH=... python benchmarks/quality/eyes.py sheets     # numbered pictures in build/quality/eyes
    COMFYUI_PATH=... python benchmarks/quality/eyes.py compare    # labels in results/eyes.txt -> results/eyes.md

A sheet shows pairs: what was asked for, as the drawing code draws it, and beside it what a method drew. The judge sees
neither the method nor the seed; it was one judge, a vision-language model. A line of results/eyes.txt is a number and y
where the right picture shows the concept (this individual with its marks, in one piece; or this style) on the ground
that was asked for, else n.
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
BATCHES = {"eyes": (("instance", "style"), 4), "eyes 2": (("instance",), 6)}
"""By seed of the draw: kinds of sets, and pictures of a set and a method. The second was added to see things better."""
SIDE, ACROSS, DOWN = 144, 4, 6


def sheets() -> None:
    """Paint the sheets from the pictures that `run.py claim` has kept, and write which is which."""
    import torch
    from pack import load_pack

    torch.set_num_threads(1)
    load_pack()
    import measures
    from bench import World, true_scene
    from concepts import CLAIM, CONCEPTS, Concept
    from methods import CLAIMED
    from PIL import Image, ImageDraw
    from prompts import asked
    from run import RESULTS, STATE

    from purecc_pack.tiny_world.scenes import draw

    world = World(STATE)

    def judged(concept: Concept, method: str, seed: int, k: int) -> tuple[dict, Image.Image, Image.Image]:
        requested = asked(concept, {"requested": 16})
        drawn = torch.load(STATE / "claim" / concept.name / f"{method}-{seed}.pt", weights_only=True)
        latents = drawn[max(drawn)][k : k + 1].float()
        shown = measures.fidelity(concept, requested[k : k + 1], world.probe.read(latents)) == 1
        alone = measures.alone(concept, requested[k : k + 1], world.probe.read(latents)) == 1
        image = (world.vae.decode(latents)[0].clamp(0, 1) * 255).round().byte().numpy()
        row = {"concept": concept.name, "method": method, "seed": seed, "prompt": k, "probe": shown, "alone": alone}
        return row, draw(true_scene(concept, requested[k])), Image.fromarray(image)

    found = []
    for batch, (kinds, each) in BATCHES.items():
        rng, these = Random(batch), []
        for name in CLAIM:
            if CONCEPTS[name].kind in kinds:
                for method in CLAIMED:
                    picks = rng.sample([(seed, k) for seed in range(5) for k in range(16)], each)
                    these += [judged(CONCEPTS[name], method, seed, k) for seed, k in picks]
        rng.shuffle(these)
        found += these
    folder, a_sheet = STATE / "eyes", ACROSS * DOWN
    folder.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(found), a_sheet):
        out = Image.new("RGB", (ACROSS * (2 * SIDE + 16), DOWN * (SIDE + 18)), "white")
        canvas = ImageDraw.Draw(out)
        for place, (_, true, image) in enumerate(found[start : start + a_sheet]):
            x, y = place % ACROSS * (2 * SIDE + 16), place // ACROSS * (SIDE + 18)
            canvas.text((x + 2, y + 3), str(start + place), fill="black")
            for side, picture in enumerate((true, image)):
                out.paste(picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS), (x + side * (SIDE + 2), y + 16))
        out.save(folder / f"{start // a_sheet}.png")
    lines = "".join(json.dumps({"number": number, **row}) + "\n" for number, (row, _, _) in enumerate(found))
    (RESULTS / "eyes.jsonl").write_text(lines, encoding="utf-8")


def compare() -> None:
    """Write how often eye and probe agree, and what either says of every method."""
    from pack import load_pack

    load_pack()
    from concepts import CONCEPTS
    from report import RESULTS, rows

    labels = dict(line.split() for line in (RESULTS / "eyes.txt").read_text(encoding="utf-8").splitlines())
    kinds = {name: concept.kind for name, concept in CONCEPTS.items()}
    judged = [{**row, "eye": labels[str(row["number"])] == "y"} for row in rows("eyes")]
    text = [
        "# The probe against the eye\n",
        f"Concept on the requested background, last step of the claims; {len(judged)} pictures, judged with the method "
        "hidden (`eyes.py`); one judge, a vision-language model. Intervals: bootstrap over sets, then pictures.\n",
    ]
    for kind, title in (("instance", "Things"), ("style", "Styles")):
        text += [f"## {title}\n", *_tables([r for r in judged if kinds[r["concept"]] == kind])]
    (RESULTS / "eyes.md").write_text("\n".join(text), encoding="utf-8")
    print("\n".join(text))


def _tables(chosen: list[dict]) -> list[str]:
    """Return what eye and probe say of every method, how often they agree, and what the eye says by set."""
    from methods import CLAIMED, METHODS
    from report import table
    from statistics_of_runs import Figure, bootstrap

    keys = [(r["concept"], r["number"]) for r in chosen]
    row_of = dict(zip(keys, chosen, strict=True))

    def rate(name: str, method: str) -> Figure:
        return lambda keys: _mean([row_of[k][name] for k in keys if row_of[k]["method"] == method])

    def less_lora(method: str) -> Figure:
        return lambda keys: rate("eye", method)(keys) - rate("eye", "lora-token")(keys)

    lines = []
    for m in CLAIMED:
        by = [bootstrap(keys, rate(name, m)) for name in ("eye", "probe", "alone")]
        count = sum(r["method"] == m for r in chosen)
        lines.append([METHODS[m].title, count, *by, bootstrap(keys, less_lora(m))])
    header = ["", "pictures", "by eye", "by the probe", "by the probe, alone", "by eye, less LoRA's"]
    text = [table(header, lines)]
    lines = []
    for name, measure in (
        ("concept on the requested background", "probe"),
        ("the same, in its place, alone", "alone"),
    ):
        eye, probe = fmean(r["eye"] for r in chosen), fmean(r[measure] for r in chosen)
        agree = fmean(r["eye"] == r[measure] for r in chosen)
        chance = eye * probe + (1 - eye) * (1 - probe)
        only = [sum(r[a] and not r[b] for r in chosen) for a, b in ((measure, "eye"), ("eye", measure))]
        lines.append([name, f"{agree:.2f}", f"{(agree - chance) / (1 - chance):.2f}", *only])
    header = ["measure", "agrees with the eye", "Cohen's κ", "only the probe says yes", "only the eye"]
    text.append(table(header, lines))
    sets = list(dict.fromkeys(r["concept"] for r in chosen))
    lines = [
        [METHODS[m].title, *(f"{rate('eye', m)([k for k in keys if k[0] == c]):.2f}" for c in sets)] for m in CLAIMED
    ]
    text.append(table(["by eye", *sets], lines))
    return text


def _mean(values: list[bool]) -> float:
    return fmean(values) if values else float("nan")


if __name__ == "__main__":
    {"sheets": sheets, "compare": compare}[sys.argv[1]]()
