"""Write results/second-claim.md from the rows of `run.py second-claim`: what each method reaches, and the targets."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "scripts")]

from report import COLUMNS, RESULTS, Runs, at_levels, by_set, by_steps, last_step, plot, rows, shared, table  # noqa: E402
from statistics_of_runs import Figure, Key, bootstrap, mean_curve, mean_of  # noqa: E402

LORA = "lora-token"
STEPS = 200
"""Of a method; those of two stages share them."""
SHOWN = ("alone", "fidelity", "near", "leak", "follow concept", "follow", "class", "pair", "change", "drift")


def ended(records: list[dict]) -> Runs:
    """Return the runs with the figures of their last step alone: a method of two stages has half the steps in each."""
    return Runs([{**r, "curve": {"200": list(r["curve"].values())[-1]}} for r in records])


def above(runs: Runs, label: str, keys: list, parts: float) -> tuple[Figure, Figure]:
    """Return the leak above the base's in parts of LoRA's, and by how much it is above so many parts."""

    def leak(label: str) -> Figure:
        mean = mean_of(runs.curves[label], "leak", runs.last)
        return lambda ks: mean(ks) - sum(runs.base[k]["leak"] for k in ks) / len(ks)

    mine, theirs = leak(label), leak(LORA)
    return (lambda ks: mine(ks) / theirs(ks)), (lambda ks: mine(ks) - parts * theirs(ks))


def steps_to_half(runs: Runs, label: str, before: int = 0) -> Figure:
    """Return after how many steps the mean curve is at half of its last fidelity, between steps by straight lines.

    Args:
        runs: at every step that was measured.
        label: of a method.
        before: steps of a first stage, after which there is nothing to use yet.
    """

    def figure(keys: Sequence[Key]) -> float:
        curves = runs.curves[label]
        steps = [0, *sorted(set.intersection(*(set(curves[k]) for k in keys)))]
        values = [0.0, *mean_curve(curves, keys, "fidelity")]
        for k, value in enumerate(values[1:]):
            if value >= values[-1] / 2:
                part = (values[-1] / 2 - values[k]) / (value - values[k]) if value > values[k] else 0.0
                return before + steps[k] + part * (steps[k + 1] - steps[k])
        return float("nan")

    return figure


def first_stage(label: str) -> int:
    """Return the steps of a method's first stage."""
    from methods import METHODS

    method = METHODS[label]
    return method.stages.steps(STEPS)[0] * method.recipe.needs_extractor


def less(left: Figure, right: Figure) -> Figure:
    """Return the difference of two figures of the same runs."""
    return lambda keys: left(keys) - right(keys)


def over_the_steps(runs: Runs) -> list[str]:
    """Return the sections on what is reached after how many steps."""
    halves = []
    for label in runs.curves:
        mine, theirs = (steps_to_half(runs, m, first_stage(m)) for m in (label, LORA))
        halves.append([runs.titles[label], bootstrap(runs.keys, mine), bootstrap(runs.keys, less(mine, theirs))])
    return [
        "## Over the steps\n",
        "![Drift over fidelity](second-claim.svg)\n",
        "On the way 28 images are drawn, at the end 72. Of two stages the steps of the second are counted here.\n",
        by_steps(runs, ("fidelity", "alone", "near", "leak", "drift")),
        at_levels(runs, "drift"),
        "Until half of the last fidelity, the first stage counted in:\n",
        table(["method", "steps", "less LoRA's"], halves),
    ]


def targets(runs: Runs, label: str) -> list[list[object]]:
    """Return what a method reaches of each target of the second claim: a line of words, figure, aim and verdict."""

    def at(label: str, name: str) -> Figure:
        return mean_of(runs.curves[label], name, runs.last)

    leaked, over = above(runs, label, runs.keys, 0.15)
    drifted = lambda ks: at(label, "drift")(ks) / at(LORA, "drift")(ks)  # noqa: E731
    sets = sorted({concept for concept, _ in runs.keys})
    of = {name: [k for k in runs.keys if k[0] == name] for name in sets}
    below = [name for name in sets if at(label, "alone")(of[name]) <= at(LORA, "alone")(of[name])]
    lines: list[tuple[str, Figure, str, Figure]] = [
        ("in its place, alone", at(label, "alone"), "at least .75", lambda ks: 0.75 - at(label, "alone")(ks)),
        ("leak above the base's, in parts of LoRA's", leaked, "at most .15", over),
        (
            "prompts with it followed", at(label, "follow concept"), "at least .90",
            lambda ks: 0.9 - at(label, "follow concept")(ks),
        ),
        (
            "prompts without it followed", at(label, "follow"), "at least .965",
            lambda ks: 0.965 - at(label, "follow")(ks),
        ),
        ("concept for the class word", at(label, "class"), "0", at(label, "class")),
        ("drift, in parts of LoRA's, after all steps", drifted, "at most 1/8", lambda ks: drifted(ks) - 1 / 8),
    ]  # fmt: skip
    from targets import verdict

    out: list[list[object]] = [["not above LoRA, in its place, alone", ", ".join(below) or "no set", "no set", ""]]
    for words, figure, aim, by in lines:
        out.append([words, bootstrap(runs.keys, figure), aim, verdict(bootstrap(runs.keys, by))])
    return out


def main() -> None:
    """Write the page."""
    from pack import load_pack

    load_pack()
    from concepts import CONCEPTS, PHOTOGRAPHED
    from methods import METHODS

    records = [{**r, "title": METHODS[r["label"]].title} for r in rows("second-claim")]
    runs = ended(records)
    names = sorted({concept for concept, _ in runs.keys})
    seeds = sorted({seed for _, seed in runs.keys})
    made = sorted({r["made"]["processor"] for r in rows("second-claim")})
    things = [n for n in names if CONCEPTS[n].kind == "instance"]
    first, second = METHODS["two-stages-node"].stages.steps(STEPS)
    text = [
        "# The second claim\n",
        "Rows of second-claim.jsonl, made by `run.py second-claim`; this page by `second_page.py`. "
        f"{STEPS} steps, or {first} and {second} in two stages. {len(runs.keys)} runs a method; seeds "
        f"{', '.join(map(str, seeds))}; made on {'; '.join(made)}. Means with 95 % intervals (two-level bootstrap over "
        "sets and seeds).\n",
    ]
    every = runs.keys
    parts = {
        "All sets": names,
        "Things": things,
        "The five new sets": [n for n in names if n in PHOTOGRAPHED],
        "Styles": [n for n in names if n not in things],
    }
    for title, chosen in parts.items():
        runs.keys = [k for k in every if k[0] in chosen]
        if not chosen or (title == "Things" and things == names):
            continue
        text += [f"## {title} ({len(chosen)})\n", last_step(runs, SHOWN)]
        if title == "Styles":
            continue
        differ = [c for c in SHOWN if shared(runs, c)]
        lines = [[runs.titles[m], *(runs.less(m, c) for c in differ)] for m in runs.curves if m != LORA]
        text += ["Less LoRA's, paired:\n", table(["method", *(COLUMNS[c] for c in differ)], lines)]
        for label in runs.curves:
            if label != LORA:
                header = [f"{runs.titles[label]}: target", "reached", "aim", ""]
                text.append(table(header, targets(runs, label)))
    runs.keys = every
    text += [
        "## By set\n",
        *(by_set(runs, name) for name in ("alone", "fidelity", "near", "leak", "follow concept", "follow")),
    ]
    curves = Runs(records)
    text += over_the_steps(curves)
    plot(curves, RESULTS / "second-claim.svg")
    text += [table(["set", "what its references share"], [[n, CONCEPTS[n].difficulty] for n in names])]
    (RESULTS / "second-claim.md").write_text("\n".join(text), encoding="utf-8")
    print("\n".join(text))


if __name__ == "__main__":
    main()
