"""Write tables, the trade-off plot and contact sheets from the results: python benchmarks/quality/report.py"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]

from plots import Axis, draw  # noqa: E402
from statistics_of_runs import Curve, Estimate, Key, at_fidelity, bootstrap, mean_curve, mean_of, relative, score  # noqa: E402

RESULTS = HERE / "results"

COLUMNS = {
    "fidelity": "concept on the requested background",
    "alone": "the same, in its place, alone",
    "likeness": "likeness",
    "near": "near-miss instead",
    "pair": "concept beside a second thing",
    "leak": "confound, unnamed",
    "leak other": "confound, other things",
    "class": "concept for the class word",
    "follow": "prompt followed without it",
    "follow concept": "prompt followed with it",
    "seg": "Seg-Cons of what else is named",
    "change": "image change without it",
    "drift": "drift",
    "kl": "KL",
    "diversity": "diversity",
}
MADE = {
    "trials": "run.py ablate --only car house fish --methods anchored anchored-class --seed 0",
    "first-claim": "run.py claim --seeds 1 at commit f810ac3",
}
"""What made the rows of a phase, where it is not called as the phase is."""
SHORT_COLUMNS = ("fidelity", "alone", "likeness", "leak", "leak other", "class", "seg", "drift")
LEVELS = (0.4, 0.5, 0.6, 0.7, 0.8)


STYLES = ("glass", "neon", "chalk", "comic")
"""Those of the sets that are no things."""


def rows(phase: str) -> list[dict]:
    """Return the records of a phase."""
    path = RESULTS / f"{phase}.jsonl"
    return [json.loads(x) for x in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


class Runs:
    """Curves by method and (concept, seed), complete ones only: all methods have the same keys."""

    def __init__(self, records: Sequence[dict]):
        self.curves: dict[str, dict[Key, Curve]] = {}
        self.base: dict[Key, Mapping[str, float]] = {}
        self.titles: dict[str, str] = {}
        for r in records:
            key = (r["concept"], r["seed"])
            curve = {int(step): figures for step, figures in r["curve"].items()}
            self.curves.setdefault(r["label"], {})[key] = curve
            self.base[key] = r["base"]
            self.titles[r["label"]] = r["title"] + r["label"].removeprefix(r["label"].split()[0])
        common = set.intersection(*(set(c) for c in self.curves.values())) if self.curves else set()
        self.keys: list[Key] = sorted(common)
        steps = [max(c[k]) for c in self.curves.values() for k in self.keys]
        self.last = min(steps) if steps else 0

    def estimate(self, label: str, name: str) -> Estimate:
        """Return a figure at the last step."""
        return bootstrap(self.keys, mean_of(self.curves[label], name, self.last))

    def of_base(self, name: str) -> Estimate:
        """Return a figure of the base."""
        return bootstrap(self.keys, lambda keys: sum(self.base[k][name] for k in keys) / len(keys))

    def against(self, label: str, name: str, lora: str = "lora-token") -> Estimate:
        """Return a rate relative to LoRA's, above the base's."""
        return bootstrap(self.keys, relative(self.curves[label], self.curves[lora], self.base, name, self.last))

    def less(self, label: str, name: str, lora: str = "lora-token") -> Estimate:
        """Return a figure less LoRA's, at the last step, paired."""
        left, right = (mean_of(self.curves[m], name, self.last) for m in (label, lora))
        return bootstrap(self.keys, lambda keys: left(keys) - right(keys))

    def matched(self, label: str, name: str, fidelity: float) -> Estimate:
        """Return a figure where the method reaches a fidelity."""
        return bootstrap(self.keys, at_fidelity(self.curves[label], name, fidelity))


def table(header: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    """Return the rows as Markdown."""
    out = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    return "\n".join([*out, *("| " + " | ".join(str(x) for x in line) + " |" for line in lines)]) + "\n"


def shared(runs: Runs, column: str) -> bool:
    """Return whether all runs have the figure at the last step."""
    return all(column in runs.curves[m][k][runs.last] for m in runs.curves for k in runs.keys)


def last_step(runs: Runs, columns: Sequence[str]) -> str:
    """Return the table of all methods at the last step."""
    names = [c for c in columns if shared(runs, c)]
    lines = [["base", *(runs.of_base(c) for c in names)]]
    lines += [[runs.titles[m], *(runs.estimate(m, c) for c in names)] for m in runs.curves]
    return table(["method", *(COLUMNS[c] for c in names)], lines)


def by_set(runs: Runs, column: str) -> str:
    """Return a figure at the last step, set by set: means over seeds."""
    sets = list(dict.fromkeys(concept for concept, _ in runs.keys))
    keys = {name: [key for key in runs.keys if key[0] == name] for name in sets}
    lines = [["base", *(f"{fmean(runs.base[k][column] for k in keys[n]):.2f}" for n in sets)]]
    for m, curves in runs.curves.items():
        lines.append([runs.titles[m], *(f"{mean_of(curves, column, runs.last)(keys[n]):.2f}" for n in sets)])
    return f"{COLUMNS[column]}:\n\n" + table(["method", *sets], lines)


def by_steps(runs: Runs, columns: Sequence[str]) -> str:
    """Return mean curves: every method at every measured step."""
    lines = []
    for m, curves in runs.curves.items():
        steps = sorted(set.intersection(*(set(curves[k]) for k in runs.keys)))
        means = {c: mean_curve(curves, runs.keys, c) for c in columns}
        for i, step in enumerate(steps):
            lines.append([runs.titles[m], step, *(f"{means[c][i]:.4f}" for c in columns)])
    return table(["method", "steps", *(COLUMNS[c] for c in columns)], lines)


def chosen(runs: Runs) -> list[str]:
    """Return the score of every setting, and the best setting of each method at its last step."""
    scores = {m: bootstrap(runs.keys, score(runs.curves[m], runs.base)) for m in runs.curves}
    best: dict[str, str] = {}
    for m in scores:
        method = m.split()[0]
        if method not in best or scores[m].mean > scores[best[method]].mean:
            best[method] = m
    columns = [c for c in SHORT_COLUMNS if shared(runs, c)]
    lines = [[runs.titles[m], *(runs.estimate(m, c) for c in columns)] for m in best.values()]
    lines.insert(0, ["base", *(runs.of_base(c) for c in columns)])
    return [
        table(["method", "score"], [[runs.titles[m], e] for m, e in scores.items()]),
        "## The best setting of each method\n",
        table(["method", *(COLUMNS[c] for c in columns)], lines),
    ]


def at_levels(runs: Runs, name: str) -> str:
    """Return a figure where each method reaches each level of fidelity; a dash where it does not within the steps."""
    lines = []
    for m in runs.curves:
        found = [runs.matched(m, name, level) for level in LEVELS]
        lines.append([runs.titles[m], *found])
    return table([f"{COLUMNS[name]} at fidelity", *(f"{level:g}" for level in LEVELS)], lines)


def plot(runs: Runs, path: Path) -> None:
    """Plot drift over fidelity, a line a method through its steps; to the right and below is better."""
    lines = {
        runs.titles[m]: list(zip(*(mean_curve(curves, runs.keys, x) for x in ("fidelity", "drift")), strict=True))
        for m, curves in runs.curves.items()
    }
    across = Axis("concept on the requested background", 0.0, 1.0, (0, 0.2, 0.4, 0.6, 0.8, 1.0))
    draw(lines, across, Axis("drift (log)", 10**-3.6, 10**-0.8, (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1), True), path)


def main() -> None:
    """Write results/PHASE.md for every phase with results, and the plot of the claims."""
    for phase in ("trials", "search", "ablate", "first-claim", "claim", "unseen", "places"):
        records = rows(phase)
        if not records:
            continue
        runs = Runs(records)
        seeds = sorted({seed for _, seed in runs.keys})
        concepts = sorted({concept for concept, _ in runs.keys})
        text = [
            f"# {phase}\n",
            f"Rows of {phase}.jsonl, made by `{MADE.get(phase, f'run.py {phase}')}`; this page by `report.py`.\n",
            f"{len(runs.keys)} runs a method: concepts {', '.join(concepts)}; seeds {', '.join(map(str, seeds))}. "
            f"Means with 95 % intervals (two-level bootstrap over concepts and seeds). Last step: {runs.last}.\n",
            last_step(runs, list(COLUMNS)),
        ]
        if phase == "search":
            text += ["## What is searched for\n", f"{score.__doc__}\n", *chosen(runs)]
        if phase.endswith("claim") or phase == "unseen":
            text += ["## Relative to LoRA, above the base\n"]
            names = ("leak", "leak other", "class")
            lines = [[runs.titles[m], *(runs.against(m, c) for c in names)] for m in runs.curves]
            text += [table(["method", *(COLUMNS[c] for c in names)], lines)]
            text += ["## Less LoRA's, paired\n"]
            everywhere = [c for c in COLUMNS if shared(runs, c)]
            lines = [[runs.titles[m], *(runs.less(m, c) for c in everywhere)] for m in runs.curves if m != "lora-token"]
            text += [table(["method", *(COLUMNS[c] for c in everywhere)], lines)]
            text += [
                "## By set\n",
                *(by_set(runs, name) for name in ("fidelity", "alone", "leak", "follow") if shared(runs, name)),
            ]
        text += [
            "## At matched fidelity\n",
            at_levels(runs, "drift"),
            at_levels(runs, "leak"),
            at_levels(runs, "class"),
        ]
        text += ["## Over the steps\n", by_steps(runs, ("fidelity", "likeness", "leak", "class", "drift"))]
        (RESULTS / f"{phase}.md").write_text("\n".join(text), encoding="utf-8")
        plot(runs, RESULTS / f"{phase}.svg")
        print(text[3])


if __name__ == "__main__":
    main()
