"""Measure how much of the references' background is in R(y_tar): results/leakage.md, every θ1 in leakage.jsonl.

    COMFYUI_PATH=... python benchmarks/quality/leakage.py [--seeds 0 1 2]

For θ1 of every instance of the development and the claims, three seeds each: the share of ‖R(y_tar)‖² outside the
concept's true place, over noised references, beside the share of the picture that lies outside. Equal shares mean that
the direction knows nothing of the concept's place; 0 means that it carries nothing but the concept. The control is the
base's own direction for the class word, v(class) − v(∅), which has never seen the ground. A θ1 that run.py has not kept
is trained; what is measured is not measured again.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from statistics import fmean

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(ROOT / "scripts")]
DRAWS, STEPS, SEEDS = 24, 200, (0, 1, 2)
THIRDS = ((0.0, 1.0), (0.0, 1 / 3), (1 / 3, 2 / 3), (2 / 3, 1.0))
"""Noise levels over which shares are taken: all, and each third."""


def measured(world, concept, seed: int) -> dict:
    """Return a row: shares outside by `THIRDS`, of θ1's direction and of the base's, and of the image."""
    import torch
    from bench import NAME
    from extractors import theta1
    from measuring import Silent

    from purecc_pack.purecc.host.models.copies import trainable_world
    from purecc_pack.purecc.host.training.assembly import assembled
    from purecc_pack.purecc.host.training.job import EmbeddingSpec, Job, WatchSpec
    from purecc_pack.purecc.method import objective
    from purecc_pack.purecc.method.path import interpolate, sample_timesteps
    from purecc_pack.purecc.method.pure_learning import PureLearning
    from purecc_pack.purecc.method.recipe import BASE, EXTRACTOR
    from purecc_pack.purecc.text.texts import class_prompt

    dataset, extractor = world.dataset(concept).by_content(), theta1(world, "lora-token", concept, seed, STEPS)
    prompt, area = class_prompt(concept.class_word), []
    squares: dict[str, list[tuple[float, float, float]]] = {"theta1": [], "base": []}
    embedding, watch = EmbeddingSpec(layer_wise=extractor.layers is not None), WatchSpec(sample_prompts=(prompt,))
    job = Job(NAME, PureLearning(), embedding=embedding, watch=watch)
    with (
        trainable_world(),
        torch.no_grad(),
        assembled(world.models, dataset, job, Silent().phase, extractor) as assembly,
    ):
        generator = torch.Generator().manual_seed(0)
        for item in dataset.items:
            away = 1 - world.true_mask(concept, item)
            area.append(float(away.mean()))
            x0 = assembly.field.latents_in(item.latents[:1]).expand(DRAWS, -1, -1, -1).float()
            t = sample_timesteps(DRAWS, generator, shift=3.0)
            x_t = interpolate(x0, torch.randn(x0.shape, generator=generator), t)
            for who, branch, text in (("theta1", EXTRACTOR, item.texts.target), ("base", BASE, prompt)):
                v, empty = (assembly.branched.run(branch, x_t, t, [words] * DRAWS) for words in (text, ""))
                square = objective.concept_direction(v, empty).square()
                whole, outside = (s.sum((1, 2, 3)).tolist() for s in (square, square * away))
                squares[who] += list(zip(t.tolist(), whole, outside, strict=True))
    shares = {who: [_share(rows, *between) for between in THIRDS] for who, rows in squares.items()}
    return {"concept": concept.name, "seed": seed, "picture": fmean(area), **shares}


def _share(squares: list[tuple[float, float, float]], low: float, high: float) -> float:
    chosen = [row for row in squares if low <= row[0] <= high]
    return sum(outside for _, _, outside in chosen) / sum(whole for _, whole, _ in chosen)


def page(rows: list[dict]) -> str:
    """Return the table, and in how many sets the base's direction has more outside than θ1's."""
    from report import table

    lines, more = [], []
    for name in dict.fromkeys(r["concept"] for r in rows):
        seeds = [r for r in rows if r["concept"] == name]
        own = [r["theta1"][0] for r in seeds]
        means = {who: [fmean(r[who][k] for r in seeds) for k in range(len(THIRDS))] for who in ("theta1", "base")}
        more.append(means["base"][0] > means["theta1"][0])
        shown = [f"{x:.2f}" for who in means for x in means[who]]
        shown[0] += f" ({min(own):.2f} to {max(own):.2f})"
        lines.append([name, len(seeds), *shown, f"{seeds[0]['picture']:.2f}"])
    thirds = ["t < 1/3", "1/3 to 2/3", "t > 2/3"]
    header = ["concept", "seeds", "of ‖R(y_tar)‖²", *thirds, "of the base's class direction", *thirds, "of the picture"]
    return (
        "# The share that lies outside the concept\n\n`leakage.py`; rows in leakage.jsonl.\n\n"
        + table(header, lines)
        + f"\nThe base's class direction has more outside than R(y_tar) in {sum(more)} of {len(more)} sets.\n"
    )


def main() -> None:
    """Measure what is missing, and write the page when all is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="*", default=SEEDS, choices=SEEDS, help="these alone are measured")
    wanted = parser.parse_args().seeds

    import torch
    from pack import load_pack

    torch.set_num_threads(1)
    load_pack()
    from bench import World
    from concepts import CLAIM, CONCEPTS, DEVELOPMENT
    from report import RESULTS
    from report import rows as results
    from run import STATE

    names = [n for n in (*DEVELOPMENT, *CLAIM) if CONCEPTS[n].kind == "instance"]
    world, known = World(STATE), {(r["concept"], r["seed"]) for r in results("leakage")}
    for seed in wanted:
        for name in names:
            if (name, seed) not in known:
                row = measured(world, CONCEPTS[name], seed)
                with (RESULTS / "leakage.jsonl").open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
    rows = sorted(results("leakage"), key=lambda r: (names.index(r["concept"]), r["seed"]))
    if len(rows) < len(names) * len(SEEDS):
        print(f"{len(rows)} of {len(names) * len(SEEDS)} are there; the table is written when all are.")
        return
    (RESULTS / "leakage.md").write_text(page(rows), encoding="utf-8")
    print(page(rows))


if __name__ == "__main__":
    main()
