"""Write the paper's claims beside our measurements: python benchmarks/quality/paper.py

Writes results/paper.md, and what stands in place of the paper's Figures 2 and 4: results/kl.svg, the divergence from
the base over training, and results/lambda.svg, the guidance over training.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]

from plots import Axis, draw  # noqa: E402
from report import RESULTS, Runs, rows, table  # noqa: E402
from statistics_of_runs import Key, bootstrap, mean_curve, mean_of  # noqa: E402


@dataclass(frozen=True)
class Claim:
    """A table of the paper.

    Attributes:
        title: which.
        theirs: names of the paper's columns that are compared.
        ours: the measures here that stand for them; more is better in all.
        methods: our label, the paper's name, and its figures.
    """

    title: str
    theirs: tuple[str, ...]
    ours: tuple[str, ...]
    methods: tuple[tuple[str, str, tuple[float, ...]], ...]


CLAIMS = (
    Claim(
        "Table 1: methods",
        ("ΔCLIP-T", "Seg-Cons", "CLIP-I"),
        ("follow concept", "seg", "fidelity"),
        (
            ("prior", "DreamBooth", (-4.81, 18.38, 0.63)),
            ("ewc", "DreamBooth + EWC", (-4.17, 26.37, 0.62)),
            ("purecc", "PureCC", (-0.31, 69.37, 0.81)),
        ),
    ),
    Claim(
        "Table 2: what the two stages give",
        ("ΔCLIP-T", "Seg-Cons", "CLIP-I"),
        ("follow concept", "seg", "fidelity"),
        (
            ("lora-token", "L_CC alone", (-4.52, 23.74, 0.65)),
            ("purecc-merged", "one stage", (-1.17, 54.37, 0.50)),
            ("purecc", "full", (-0.31, 69.37, 0.81)),
        ),
    ),
    Claim(
        "Table 3: λ",
        ("ΔCLIP-T", "CLIP-I"),
        ("follow concept", "fidelity"),
        (
            ("lambda-1", "λ = 1", (-0.18, 0.43)),
            ("lambda-3", "λ = 3", (-0.51, 0.58)),
            ("lambda-5", "λ = 5", (-2.67, 0.73)),
            ("purecc", "λ*", (-0.31, 0.81)),
        ),
    ),
    Claim(
        "Table 6: η",
        ("ΔCLIP-T", "CLIP-I"),
        ("follow concept", "fidelity"),
        (
            ("eta-0.5", "η = 0.5", (-1.32, 0.55)),
            ("purecc", "η = 1", (-0.31, 0.81)),
            ("eta-1.5", "η = 1.5", (-0.43, 0.80)),
            ("eta-2", "η = 2", (-0.76, 0.67)),
        ),
    ),
)


def orders(runs: Runs, claim: Claim) -> str:
    """Return by how much, and in how many concepts, the paper's order of each pair of methods holds here.

    Of three concepts an interval excludes 0 where all three agree, which is no test: their number is what is told.
    """
    lines = []
    known = [m for m in claim.methods if m[0] in runs.curves]
    for i, (a, name_a, theirs_a) in enumerate(known):
        for b, name_b, theirs_b in known[i + 1 :]:
            for column, measure, x, y in zip(claim.theirs, claim.ours, theirs_a, theirs_b, strict=True):
                first, second = ((a, name_a), (b, name_b)) if x > y else ((b, name_b), (a, name_a))
                left, right = (mean_of(runs.curves[label], measure, runs.last) for label in (first[0], second[0]))

                def less(keys: Sequence[Key], left=left, right=right) -> float:
                    return left(keys) - right(keys)

                names = sorted({concept for concept, _ in runs.keys})
                signs = [less([key for key in runs.keys if key[0] == name]) for name in names]
                agree, against = sum(s > 0 for s in signs), sum(s < 0 for s in signs)
                lines.append([column, f"{first[1]} above {second[1]}", bootstrap(runs.keys, less), agree, against])
    return table(["column", "the paper's order", "difference here", "so in concepts", "reversed in"], lines)


def compared(runs: Runs, claim: Claim) -> str:
    """Return the paper's figures and ours, method by method."""
    lines = [
        [name, *theirs, *(runs.estimate(label, measure) for measure in claim.ours)]
        for label, name, theirs in claim.methods
    ]
    return table(["method", *(f"paper: {c}" for c in claim.theirs), *(f"here: {m}" for m in claim.ours)], lines)


def course(runs_of: Sequence[dict], label: str) -> str:
    """Return λ*, cos(R_c, R_t) and L_PureCC / L_CC in twentieths of training, means over runs."""
    chosen = [r["training"] for r in runs_of if r["label"] == label]
    count = min(len(t["lambda"]) for t in chosen)
    lines = []
    for name, value in (
        ("λ*", lambda t, i: t["lambda"][i]),
        ("cos(R_c, R_t)", lambda t, i: t["cosine"][i]),
        ("L_PureCC / L_CC", lambda t, i: t["pure"][i] / t["concept"][i]),
        ("L_CC", lambda t, i: t["concept"][i]),
    ):
        picks = range(0, count, max(1, count // 6))
        lines.append([name, *(f"{sum(value(t, i) for t in chosen) / len(chosen):.4f}" for i in picks)])
    header = [label, *(f"{100 * (i + 1) // count} %" for i in range(0, count, max(1, count // 6)))]
    return table(header, lines)


KL = ("lora-token", "prior", "dop", "ewc", "purecc", "purecc-stop", "purecc-base", "anchored")
GUIDED = ("purecc", "purecc-stop", "purecc-base")


def figures(runs: Runs, records: Sequence[dict]) -> None:
    """Paint both."""
    steps = sorted(set.intersection(*(set(runs.curves["lora-token"][key]) for key in runs.keys)))
    across = Axis("steps", 0, runs.last, (0, *steps))
    kl = {
        runs.titles[m]: list(zip(steps, mean_curve(runs.curves[m], runs.keys, "kl"), strict=True))
        for m in KL
        if m in runs.curves
    }
    highest = max(y for line in kl.values() for _, y in line)
    lowest = min(y for line in kl.values() for _, y in line)
    draw(kl, across, Axis("KL to the base (log)", lowest, highest, _decades(lowest, highest), True), RESULTS / "kl.svg")
    guided = {}
    for m in GUIDED:
        chosen = [r["training"]["lambda"] for r in records if r["label"] == m]
        if chosen:
            means = [sum(values) / len(values) for values in zip(*chosen, strict=True)]
            guided[runs.titles[m]] = [((i + 0.5) / len(means) * runs.last, x) for i, x in enumerate(means)]
    draw(guided, across, Axis("λ*", 0, 1, (0, 0.2, 0.4, 0.6, 0.8, 1)), RESULTS / "lambda.svg")


def _decades(low: float, high: float) -> list[float]:
    return [x for k in range(-6, 7) for x in (10.0**k, 3 * 10.0**k) if low <= x <= high]


def main() -> None:
    """Write the page."""
    records = rows("ablate")
    runs, claimed = Runs(records), Runs(rows("claim"))
    seeds = len({seed for _, seed in runs.keys})
    text = [
        "# The paper's claims, here\n",
        "`paper.py`, from ablate.jsonl, claim.jsonl and search.jsonl. "
        f"Development concepts, {seeds} seed{'s' * (seeds > 1)}.\n",
    ]
    for claim in CLAIMS:
        if any(label not in runs.curves for label, _, _ in claim.methods):
            continue
        text += [f"## {claim.title}\n", compared(runs, claim), orders(runs, claim)]
        if sum(label in claimed.curves for label, _, _ in claim.methods) > 1:
            text += [f"On the {len({c for c, _ in claimed.keys})} claim concepts:\n", orders(claimed, claim)]
    text += ["## The guidance over training\n"]
    text += [course(records, label) for label in ("purecc", "purecc-stop", "purecc-base") if label in runs.curves]
    searched = rows("search")
    text += [course(searched, label) for label in sorted({r["label"] for r in searched if "lambda" in r["training"]})]
    figures(runs, records)
    (RESULTS / "paper.md").write_text("\n".join(text), encoding="utf-8")
    print("\n".join(text))


if __name__ == "__main__":
    main()
