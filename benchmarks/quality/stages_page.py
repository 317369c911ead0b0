"""Write results/stages.md from the rows of `run.py stages`: two stages on images of the class beside one stage."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "scripts")]

MEASURES = ("fidelity", "alone", "near", "leak", "class", "follow concept", "follow", "pair", "change", "drift")
Figures = Mapping[str, float]


def shown(figures: Sequence[Figures], name: str) -> str:
    """Return the mean of a figure over runs, with its range in brackets where there are several."""
    values, digits = [f[name] for f in figures], 4 if name == "drift" else 2
    mean = f"{fmean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} [{min(values):.{digits}f}, {max(values):.{digits}f}]"


def lines(
    found: Mapping[str, Mapping[tuple[str, int], Figures]], name: str, titles: Mapping[str, str]
) -> list[list[str]]:
    """Return the rows of a set: each method with the seeds it has, its figures in the mean over them."""
    out = []
    for label, runs in found.items():
        mine = {seed: figures for (concept, seed), figures in runs.items() if concept == name}
        if mine:
            seeds = ", ".join(map(str, sorted(mine)))
            out.append([name, titles[label], seeds, *(shown(list(mine.values()), m) for m in MEASURES)])
    return out


def main() -> None:
    """Write the page."""
    from pack import load_pack

    load_pack()
    from concepts import STAGES
    from methods import METHODS, STAGED
    from report import COLUMNS, RESULTS, rows, table

    found: dict[str, dict[tuple[str, int], Figures]] = {name: {} for name in ("base", *STAGED)}
    for row in rows("stages"):
        key = row["concept"], row["seed"]
        found[row["label"]][key] = list(row["curve"].values())[-1]
        found["base"][key] = {**dict.fromkeys(MEASURES, 0.0), **row["base"]}
    titles = {"base": "base"} | {name: METHODS[name].title for name in STAGED}
    titles["anchored-apart"] = "anchored (ours), references moved where they share a place"
    header = ["set", "method", "seeds", *(COLUMNS[m] for m in MEASURES)]
    by_set = [line for name in STAGES for line in lines(found, name, titles)]
    text = (
        "Two stages on images of the class, beside one stage: `run.py stages`, then `stages_page.py`. Means over "
        "seeds, with their range. A method has 200 steps, *two stages* 200 for each, and *half* 100 for each. The "
        "extractor is *anchored*, as the node has it or with moved references.\n\n" + table(header, by_set)
    )
    (RESULTS / "stages.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
