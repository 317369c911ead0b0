"""Write results/places.md from the rows of `run.py places`: what is done about a shared place and a companion."""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import fmean

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "scripts")]

DEFAULT = "place said, companions left out: the default"
MEASURES = {
    "alone": "in its place, alone",
    "leak": "confound, unnamed",
    "follow concept": "prompt followed with it",
    "follow": "prompt followed without it",
    "drift": "drift",
}


def main() -> None:
    """Write the page: the means of every pair of methods on the sets that have both, then all sets."""
    from pack import load_pack

    load_pack()
    from methods import METHODS, PLACED
    from report import RESULTS, rows, table

    found: dict[str, dict[tuple[str, int], dict[str, float]]] = {}
    base: dict[tuple[str, int], dict[str, float]] = {}
    for row in rows("places"):
        key = row["concept"], row["seed"]
        found.setdefault(row["label"], {})[key] = list(row["curve"].values())[-1]
        base[key] = row["base"]
    plain = found["anchored"]
    found[DEFAULT] = found["anchored-say"] | found["anchored-apart"]
    titles_of = {name: METHODS[name].title for name in found if name != DEFAULT} | {DEFAULT: DEFAULT}
    means, all_sets = [], []
    for label in (name for name in (*PLACED, DEFAULT) if name in found and name != "anchored"):
        both = sorted(found[label].keys() & plain.keys())
        for name, of in (("anchored", plain), (label, found[label])):
            cells = [f"{fmean(of[key][m] for key in both):.{4 if m == 'drift' else 2}f}" for m in MEASURES]
            means.append([titles_of[name], str(len(both)), *cells])
    for key in sorted(base):
        for name in (n for n in PLACED if key in found.get(n, {})):
            cells = [f"{found[name][key][m]:.{4 if m == 'drift' else 2}f}" for m in MEASURES]
            floor = f"{base[key]['leak']:.2f}"
            all_sets.append([key[0], str(key[1]), titles_of[name], *cells, floor])
    titles = list(MEASURES.values())
    text = (
        "What is done about places and companions, beside *anchored* without: `run.py places`, then `places_page.py`. "
        "200 steps; rows of a pair are of the same sets and seeds. Where no companion is found and no place is shared, "
        "the default is the same run as with the place said.\n\n"
        + table(["method", "runs", *titles], means)
        + "\n## By set\n\n"
        + table(["set", "seed", "method", *titles, "base's own rate of the confound"], all_sets)
    )
    (RESULTS / "places.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
