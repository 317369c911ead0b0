"""Write results/PHASE.md from the rows of `run.py PHASE`: methods side by side on each set.

COMFYUI_PATH=... python benchmarks/quality/compared_page.py stages|sizes|named|moves
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "scripts")]

MEASURES = ("fidelity", "alone", "near", "leak", "class", "follow concept", "follow", "pair", "change", "drift")
HEADS = {
    "stages": "Two stages on images of the class, beside one stage. A method has 200 steps, *two stages* 200 for each, "
    "and *half* 100 for each. The extractor is *anchored*, as the node has it or with moved references.",
    "sizes": "Things taken from near by, as they are and made smaller. 200 steps, or 100 in each of two stages. The "
    "rule of sizes was found on cup-4, car-4, robot-4 and fish-4; the others were drawn and run once it was fixed.",
    "named": "A thing beside the concept that is no word that is tried, not named and named by the user. 200 steps, or "
    "100 in each of two stages.",
    "moves": "References that share one place, which the captions say, or which they say and is changed. 200 steps.",
}
TITLES = {
    "stages": {"anchored-apart": "anchored (ours), references moved where they share a place"},
    "sizes": {
        "anchored-apart": "anchored (ours), large references as they are",
        "anchored-fit": "anchored (ours), large references made smaller",
        "two-stages-late": "PureCC (class images), large references made smaller",
    },
    "named": {"anchored-fit": "anchored (ours), not named", "two-stages-late": "PureCC (class images), not named"},
    "moves": {"anchored-node": "anchored (ours), place said", "anchored-fit": "anchored (ours), said and moved"},
}
"""Of methods that are not called by their own there."""
Figures = Mapping[str, float]
Found = Mapping[str, Mapping[tuple[str, int], Figures]]
"""Figures by method, set and seed."""


def shown(figures: Sequence[Figures], name: str) -> str:
    """Return the mean of a figure over runs, with its range in brackets where there are several."""
    values, digits = [f[name] for f in figures], 4 if name == "drift" else 2
    mean = f"{fmean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} [{min(values):.{digits}f}, {max(values):.{digits}f}]"


def lines(found: Found, name: str, titles: Mapping[str, str]) -> list[list[str]]:
    """Return the rows of a set: each method with the seeds it has, its figures in the mean over them."""
    out = []
    for label, runs in found.items():
        mine = {seed: figures for (concept, seed), figures in runs.items() if concept == name}
        if mine:
            seeds = ", ".join(map(str, sorted(mine)))
            out.append([name, titles[label], seeds, *(shown(list(mine.values()), m) for m in MEASURES)])
    return out


def means(found: Found, title: str, names: Sequence[str], titles: Mapping[str, str]) -> list[list[str]]:
    """Return each method's figures in the mean over some sets and their seeds, without a range."""
    out = []
    for label, runs in found.items():
        mine = [figures for (concept, _), figures in runs.items() if concept in names]
        cells = [f"{fmean(f[m] for f in mine):.{4 if m == 'drift' else 2}f}" for m in MEASURES]
        out.append([title, titles[label], str(len(mine)), *cells])
    return out


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("phase", choices=list(HEADS))
    phase = parser.parse_args().phase
    from pack import load_pack

    load_pack()
    import near
    from methods import METHODS
    from phases import COMPARED
    from report import COLUMNS, RESULTS, rows, table

    compared = COMPARED[phase]
    found: dict[str, dict[tuple[str, int], Figures]] = {name: {} for name in ("base", *compared.methods)}
    for row in rows(phase):
        key = row["concept"], row["seed"]
        found[row["label"]][key] = list(row["curve"].values())[-1]
        found["base"][key] = {**dict.fromkeys(MEASURES, 0.0), **row["base"]}
    titles = {"base": "base"} | {name: METHODS[name].title for name in compared.methods} | TITLES.get(phase, {})
    measures = [COLUMNS[m] for m in MEASURES]
    text = f"{HEADS[phase]} `run.py {phase}`, then `compared_page.py {phase}`.\n\n"
    groups: dict[str, dict[str, tuple[str, ...]]] = {
        "sizes": {"found on": near.FOUND_ON, "new": near.NEW},
        "moves": {"all": compared.sets},
    }
    if phase in groups:
        each = [line for title, names in groups[phase].items() for line in means(found, title, names, titles)]
        text += table(["sets", "method", "runs", *measures], each) + "\n"
    text += "By set, means over seeds with their range:\n\n"
    by_set = [line for name in compared.sets for line in lines(found, name, titles)]
    text += table(["set", "method", "seeds", *measures], by_set)
    (RESULTS / f"{phase}.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
