"""Write results/sizes.md from the rows of `run.py sizes`: things taken from near by, as they are and made smaller."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "scripts")]

MEASURES = ("fidelity", "alone", "near", "leak", "class", "follow concept", "follow", "drift")


def means(rows: Sequence[Mapping], label: str, names: Sequence[str]) -> list[str]:
    """Return the figures of a method on some sets, in the mean over sets and seeds, as they are shown."""
    last = [list(r["curve"].values())[-1] for r in rows if r["label"] == label and r["concept"] in names]
    return [str(len(last)), *(f"{fmean(f[m] for f in last):.{4 if m == 'drift' else 2}f}" for m in MEASURES)]


def main() -> None:
    """Write the page."""
    from pack import load_pack

    load_pack()
    import near
    from methods import METHODS, SIZED
    from report import COLUMNS, rows, table
    from stages_page import page

    made = rows("sizes")
    head = (
        "Eight sets of things taken from near by: `run.py sizes`, then `sizes_page.py`. 200 steps, or 100 in each of "
        "two stages. The rule of sizes was found on cup-4, car-4, robot-4 and fish-4; the other four were drawn and "
        "run once it was fixed.\n\n"
    )
    columns = ["sets", "method", "runs", *(COLUMNS[m] for m in MEASURES)]
    groups = (("found on", near.FOUND_ON), ("new", near.NEW), ("all", near.NAMES))
    head += table(columns, [[g, METHODS[m].title, *means(made, m, names)] for g, names in groups for m in SIZED])
    page("sizes", near.NAMES, SIZED, head + "\nBy set, with the range over seeds:")


if __name__ == "__main__":
    main()
