"""Compare targets with results: python benchmarks/quality/targets.py [PHASE] writes results/targets.md

Of another phase than claim, such as first-claim, it writes results/PHASE-targets.md.

The targets were set before anything was measured. Each is a quantity that is met at or below 0, with its interval over
the claim concepts: met if all of the interval is, missed if none of it is. Drift is compared only where both curves
were measured, from the fidelity of their first points to the highest that both reach; resamples in which a curve does
not get there are left out.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]

from report import RESULTS, STYLES, Runs, rows, table  # noqa: E402
from statistics_of_runs import Estimate, Figure, at_fidelity, best_step, bootstrap, common_level, mean_of  # noqa: E402

OURS, LORA, DOP = "anchored", "lora-token", "dop"
SHARES = (0.25, 0.5, 0.75, 0.9, 1.0)
"""Where drift is compared: at these shares of the highest fidelity that both methods reach."""


@dataclass(frozen=True)
class Target:
    """One line.

    Attributes:
        measure: in words.
        aim: in words.
        parts: figures that are shown, by name.
        over: what is left to the target; met at or below 0.
    """

    measure: str
    aim: str
    parts: dict[str, Figure]
    over: Figure


def verdict(over: Estimate) -> str:
    """Return whether a target is met, missed, or neither by its interval."""
    if math.isnan(over.mean):
        return "cannot be told: not measured there"
    if over.high <= 0:
        return "met"
    if over.low > 0:
        return "missed"
    return "met in the mean, inside the noise" if over.mean <= 0 else "missed in the mean, inside the noise"


def targets(runs: Runs) -> list[Target]:
    """Return all targets; rates are each method's own at its step of highest mean fidelity. DOP may be missing."""
    ours, lora, dop = runs.curves[OURS], runs.curves[LORA], runs.curves.get(DOP)
    steps = {label: best_step(runs.curves[label], runs.keys) for label in (OURS, LORA)}

    def at_best(label: str, name: str) -> Figure:
        return mean_of(runs.curves[label], name, steps[label])

    def of_base(name: str) -> Figure:
        return lambda keys: sum(runs.base[k][name] for k in keys) / len(keys)

    mine, theirs = at_best(OURS, "fidelity"), at_best(LORA, "fidelity")
    out = [
        Target(
            "concept on the requested background", "not below LoRA's best",
            {"anchored": mine, "LoRA": theirs}, lambda keys: theirs(keys) - mine(keys),
        )
    ]  # fmt: skip
    for name, words in (("leak", "confound, unnamed"), ("class", "concept for the class word")):
        a, b, ground = at_best(OURS, name), at_best(LORA, name), of_base(name)
        out.append(
            Target(
                words, "at most 0.2 of LoRA's, above the base", {"anchored": a, "LoRA": b, "base": ground},
                _beyond(a, b, ground, 0.2),
            )
        )  # fmt: skip
    follow, ground = mean_of(ours, "follow", runs.last), of_base("follow")
    out.append(
        Target(
            "prompt followed without it", "within 1 point of the base", {"anchored": follow, "base": ground},
            lambda keys: ground(keys) - follow(keys) - 0.01,
        )
    )  # fmt: skip
    for share in SHARES:
        for other, words, factor, aim in (
            (lora, "LoRA", 0.25, "at most 1/4 of LoRA's"),
            (dop, "DOP", 1, "below DOP's"),
        ):
            if other is None:
                continue
            level = common_level(ours, other, share=share)
            a, b = at_fidelity(ours, "drift", level), at_fidelity(other, "drift", level)
            out.append(
                Target(
                    f"drift at {share:g} of the fidelity both reach", aim, {"fidelity": level, "anchored": a, words: b},
                    _beyond(a, b, lambda keys: 0.0, factor),
                )
            )  # fmt: skip
    return out


def _beyond(mine: Figure, theirs: Figure, ground: Figure, share: float) -> Figure:
    """Return by how much a figure exceeds a share of another one, both above a ground."""
    return lambda keys: mine(keys) - ground(keys) - share * (theirs(keys) - ground(keys))


def page(runs: Runs) -> str:
    """Return the table."""
    lines = []
    for target in targets(runs):
        shown = "; ".join(f"{name} {bootstrap(runs.keys, figure)}" for name, figure in target.parts.items())
        over = bootstrap(runs.keys, target.over)
        lines.append([target.measure, target.aim, shown, over, verdict(over)])
    return table(["measure", "target", "measured", "over the target by", ""], lines)


def main() -> None:
    """Write the page."""
    phase = sys.argv[1] if len(sys.argv) > 1 else "claim"
    runs = Runs(rows(phase))
    keys, seeds = runs.keys, len({s for _, s in runs.keys})
    parts = {
        "All sets": keys,
        "Things": [k for k in keys if k[0] not in STYLES],
        "Styles": [k for k in keys if k[0] in STYLES],
    }
    text = (
        "# Targets\n\n"
        f"`targets.py {phase}`: {seeds} seed{'s' * (seeds > 1)}. Rates at each method's own step of highest mean "
        "fidelity as the classifier reads it; what the eye says of the claim's pictures is in [eyes.md](eyes.md).\n"
    )
    for title, chosen in parts.items():
        if chosen and (title == "All sets" or len(chosen) < len(keys)):
            runs.keys = chosen
            text += f"\n## {title} ({len({c for c, _ in chosen})})\n\n{page(runs)}"
    (RESULTS / ("targets.md" if phase == "claim" else f"{phase}-targets.md")).write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
