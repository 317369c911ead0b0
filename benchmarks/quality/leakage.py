"""Measure how much of the references' background is in R(y_tar) and R2: results/leakage.md, every θ1 in leakage.jsonl.

    COMFYUI_PATH=... python benchmarks/quality/leakage.py [--seeds 0 1 2]

For θ1 of every instance of the development and the claims, three seeds each: the share of ‖R(y_tar)‖² outside the
concept's true place, over noised references, beside the share of the picture that lies outside. Equal shares mean that
the direction knows nothing of the concept's place; 0 means that it carries nothing but the concept. The same of R2 =
v_θ1(x_t | complete) − v_base(x_t | base), all that θ1 learned, of θ1 as plain LoRA makes it and as *anchored* does for
`ClassImageLearning`. The control is the base's own direction for the class word, v(class) − v(∅), which has never seen
the ground. A θ1 that run.py has not kept is trained; what is measured is not measured again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from pathlib import Path
from statistics import fmean

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(ROOT / "scripts")]
DRAWS, SEEDS = 24, (0, 1, 2)
PLAIN = "lora-token"
EXTRACTORS = {PLAIN: 200, "anchored-apart": 100}
"""Methods that make θ1, with their steps."""
R, R2, CLASS = "R(y_tar)", "R2", "class"
"""The directions, by their names in the rows."""
THIRDS = ((0.0, 1.0), (0.0, 1 / 3), (1 / 3, 2 / 3), (2 / 3, 1.0))
"""Noise levels over which shares are taken: all, and each third."""


def measured(world, concept, seed: int, label: str) -> dict:
    """Return a row: shares outside by `THIRDS` of the directions of a method's θ1, and of the image."""
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

    dataset, extractor = world.dataset(concept).by_content(), theta1(world, label, concept, seed, EXTRACTORS[label])
    prompt, area = class_prompt(concept.class_word), []
    squares: dict[str, list[tuple[float, float, float]]] = {R: [], R2: [], CLASS: []}
    said = (prompt, *(text for i in dataset.items for text in (i.texts.complete, i.texts.base)))
    embedding, watch = EmbeddingSpec(layer_wise=extractor.layers is not None), WatchSpec(sample_prompts=said)
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
            texts = item.texts
            pairs = {
                R: ((EXTRACTOR, texts.target), (EXTRACTOR, "")),
                R2: ((EXTRACTOR, texts.complete), (BASE, texts.base)),
                CLASS: ((BASE, prompt), (BASE, "")),
            }
            for name, pair in pairs.items():
                v, w = (assembly.branched.run(branch, x_t, t, [text] * DRAWS) for branch, text in pair)
                square = objective.residual(v, w).square()
                whole, outside = (s.sum((1, 2, 3)).tolist() for s in (square, square * away))
                squares[name] += list(zip(t.tolist(), whole, outside, strict=True))
    shares = {name: [_share(rows, *between) for between in THIRDS] for name, rows in squares.items()}
    return {"concept": concept.name, "seed": seed, "extractor": label, "picture": fmean(area), **shares}


def _share(squares: list[tuple[float, float, float]], low: float, high: float) -> float:
    chosen = [row for row in squares if low <= row[0] <= high]
    return sum(outside for _, _, outside in chosen) / sum(whole for _, whole, _ in chosen)


def page(rows: list[dict]) -> str:
    """Return the tables, and in how many sets the base's direction has more outside than θ1's."""
    from report import table

    plain, both, more = [], [], []
    for name in dict.fromkeys(r["concept"] for r in rows):
        of = {label: [r for r in rows if (r["concept"], r["extractor"]) == (name, label)] for label in EXTRACTORS}
        seeds = of[PLAIN]
        means = {who: [fmean(r[who][k] for r in seeds) for k in range(len(THIRDS))] for who in (R, CLASS)}
        more.append(means[CLASS][0] > means[R][0])
        shown = [_spread(seeds, R), *(f"{x:.2f}" for x in (*means[R][1:], *means[CLASS])), f"{seeds[0]['picture']:.2f}"]
        plain.append([name, len(seeds), *shown])
        both.append([name, *(_spread(of[label], who) for who in (R, R2) for label in EXTRACTORS)])
    thirds = ["t < 1/3", "1/3 to 2/3", "t > 2/3"]
    header = ["concept", "seeds", "of ‖R(y_tar)‖²", *thirds, "of the base's class direction", *thirds, "of the picture"]
    makers = ("θ1 of plain LoRA", "θ1 of anchored")
    return (
        "# The share that lies outside the concept\n\n`leakage.py`; rows in leakage.jsonl. θ1 of plain LoRA:\n\n"
        + table(header, plain)
        + f"\nThe base's class direction has more outside than R(y_tar) in {sum(more)} of {len(more)} sets.\n\n"
        "R2 = v_θ1(x_t | complete) − v_base(x_t | base) is all that θ1 learned; means over seeds, in brackets least "
        "and greatest:\n\n"
        + table(["concept", *(f"of ‖{who}‖², {maker}" for who in (R, R2) for maker in makers)], both)
    )


def _spread(rows: list[dict], who: str) -> str:
    own = [r[who][0] for r in rows]
    return f"{fmean(own):.2f} ({min(own):.2f} to {max(own):.2f})"


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
    world, known = World(STATE), {(r["concept"], r["seed"], r["extractor"]) for r in results("leakage")}
    for seed, name, label in itertools.product(wanted, names, EXTRACTORS):
        if (name, seed, label) not in known:
            row = measured(world, CONCEPTS[name], seed, label)
            with (RESULTS / "leakage.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
    rows, count = results("leakage"), len(names) * len(SEEDS) * len(EXTRACTORS)
    if len(rows) < count:
        print(f"{len(rows)} of {count} are there; the page is written when all are.")
        return
    rows.sort(key=lambda r: (names.index(r["concept"]), r["seed"]))
    (RESULTS / "leakage.md").write_text(page(rows), encoding="utf-8")
    print(page(rows))


if __name__ == "__main__":
    main()
