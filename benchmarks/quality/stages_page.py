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


def page(phase: str, names: Sequence[str], compared: Sequence[str], head: str, **titles: str) -> None:
    """Write a page of every set by itself.

    Args:
        phase: of the rows.
        names: of the sets.
        compared: the methods.
        head: above the table.
        titles: of methods that are not to be named by their own.
    """
    from methods import METHODS
    from report import COLUMNS, RESULTS, rows, table

    found: dict[str, dict[tuple[str, int], Figures]] = {name: {} for name in ("base", *compared)}
    for row in rows(phase):
        key = row["concept"], row["seed"]
        found[row["label"]][key] = list(row["curve"].values())[-1]
        found["base"][key] = {**dict.fromkeys(MEASURES, 0.0), **row["base"]}
    named = {"base": "base"} | {name: METHODS[name].title for name in compared} | titles
    header = ["set", "method", "seeds", *(COLUMNS[m] for m in MEASURES)]
    text = f"{head}\n\n" + table(header, [line for name in names for line in lines(found, name, named)])
    (RESULTS / f"{phase}.md").write_text(text, encoding="utf-8")
    print(text)


def main() -> None:
    """Write the page."""
    from pack import load_pack

    load_pack()
    from concepts import STAGES
    from methods import STAGED

    head = (
        "Two stages on images of the class, beside one stage: `run.py stages`, then `stages_page.py`. Means over "
        "seeds, with their range. A method has 200 steps, *two stages* 200 for each, and *half* 100 for each. The "
        "extractor is *anchored*, as the node has it or with moved references."
    )
    moved = "anchored (ours), references moved where they share a place"
    page("stages", STAGES, STAGED, head, **{"anchored-apart": moved})


if __name__ == "__main__":
    main()
