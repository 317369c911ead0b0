"""Write results/growth.md and its plots from the rows of growth.py, with the straight line beside each time."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "quality")]

import plots  # noqa: E402

MIB = 2**20
SECOND = (
    "the first concept",
    "the same references again",
    "other references, same class word",
    "another class",
    "these again, their captions for pool prompts",
)
"""The concepts that are trained one after the other with one cache on the disk."""
TARGET = 0.1
"""Most of a first concept's seconds that a later one may take before its first step."""
TIMES = {
    "batch": ("Batch", "samples a step", "a step, median after a warm-up"),
    "steps": ("Steps", "steps", "all steps of a run of this length"),
    "references": ("References", "references", "before the first step, nothing on the disk"),
}
"""Title, what grows, and what is timed."""
INTRODUCTION = """`benchmarks/speed/growth.py` measures and writes this page: the embedded base, *anchored* as the node
has it (its rules for places, companions and sizes), its 48 pool images and prompts, batch 4 and five references unless
a table says otherwise, one thread, drift and samples left out. Each row is a run of its own, by the function that the
nodes call. CPU seconds are those that the process worked; wall seconds also hold what else ran on the machine."""
LINE = """The line a + b x has the least sum of squared deviations in parts of the values, and is fitted to CPU
seconds. *Off* is the distance of a value from the line, in parts of the value."""
KEYS = """Masks are kept by base, image, caption and class word; what is found of companions by base, image and class
word; pool images by base, prompts, seed, number and shape, not by the concept. So the node's own pool prompts give one
pool for all concepts, while masks and companions of new references are always found anew. What is never kept: reading
the captions, the private copies, hashing the base, trying a pass."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """A straight line.

    Attributes:
        start: its value at 0.
        slope: what it gains by 1.
    """

    start: float
    slope: float

    def at(self, x: float) -> float:
        """Return its value."""
        return self.start + self.slope * x

    def off(self, x: float, y: float) -> float:
        """Return how far a value is from the line, in parts of the value."""
        return (y - self.at(x)) / y


def fit(points: Sequence[tuple[float, float]]) -> Line:
    """Return the line of least squared deviations in parts of the values, so that small values count like large ones.

    Raises:
        ValueError: there are fewer than two places, or a value is not above 0.
    """
    if len({x for x, _ in points}) < 2 or min(y for _, y in points) <= 0:
        raise ValueError("A line takes values above 0 at two places or more.")
    weights = [y**-2 for _, y in points]
    whole = sum(weights)
    x_mean = sum(w * x for w, (x, _) in zip(weights, points, strict=True)) / whole
    y_mean = sum(w * y for w, (_, y) in zip(weights, points, strict=True)) / whole
    across = sum(w * (x - x_mean) ** 2 for w, (x, _) in zip(weights, points, strict=True))
    slope = sum(w * (x - x_mean) * (y - y_mean) for w, (x, y) in zip(weights, points, strict=True)) / across
    return Line(y_mean - slope * x_mean, slope)


def farthest(line: Line, points: Iterable[tuple[float, float]]) -> float:
    """Return the largest distance of a value from a line, in parts of the value."""
    return max(abs(line.off(x, y)) for x, y in points)


def read(path: Path) -> list[Row]:
    """Return the rows of the processor and torch that were measured last, of each the last."""
    rows = [json.loads(text) for text in path.read_text("utf-8").splitlines()] if path.is_file() else []
    own = [r for r in rows if _machine(r) == _machine(rows[-1])]
    return list({(r["what"], r["at"]): r for r in own}.values())


def page(rows: Sequence[Row]) -> str:
    """Return the page."""
    if not rows:
        return "# Growth\n\nNothing is measured yet.\n"
    processor, torch = _machine(rows[-1])
    commits = ", ".join(dict.fromkeys(r["made"]["commit"] for r in rows))
    text = ["# Growth\n", f"{INTRODUCTION}\n", f"{processor}, torch {torch}, commit {commits}.\n"]
    text += [f"## Time\n\n{LINE}\n"] if any(r["what"] in TIMES for r in rows) else []
    for what in TIMES:
        text += _time(what, _of(rows, what))
    for row in _of(rows, "memory"):
        text += _memory(row)
    return "\n".join([*text, *_second(_of(rows, "second"))])


def write(path: Path) -> None:
    """Write the page and its plots beside the rows."""
    rows = read(path)
    for what in TIMES:
        if len(own := _of(rows, what)) > 1:
            points = _points(own)
            line = fit(points)
            x_axis, y_axis = _axis(TIMES[what][1], (x for x, _ in points)), _axis("CPU seconds", (y for _, y in points))
            drawn = {"measured": points, "straight line": [(x, line.at(x)) for x, _ in points]}
            plots.draw(drawn, x_axis, y_axis, path.with_name(_plot(what)))
    for row in _of(rows, "memory"):
        resident = _resident(row)
        x_axis, y_axis = _axis("steps", (x for x, _ in resident)), _axis("MiB", (y for _, y in resident))
        plots.draw({"the process in memory": resident}, x_axis, y_axis, path.with_name(_plot("memory")))
    path.with_suffix(".md").write_text(page(rows), encoding="utf-8")


def _time(what: str, rows: Sequence[Row]) -> list[str]:
    """Return the section of one of `TIMES`; none without rows of two places."""
    if len(rows) < 2:
        return []
    title, grows, timed = TIMES[what]
    points = _points(rows)
    line = fit(points)
    found = (
        f"CPU seconds: {line.start:.3g} + {line.slope:.3g} for each. "
        f"Largest deviation: {farthest(line, points):.3f} of the value.\n"
    )
    cells = []
    for x, cpu, wall in ((r["at"], r["cpu"], r["wall"]) for r in rows):
        off = _signed(line.off(x, cpu))
        cells.append((f"{x}", f"{cpu:.3f}", f"{line.at(x):.3f}", off, f"{wall:.3f}"))
    table = _table((grows, f"CPU s, {timed}", "the line", "off", "wall s"), cells)
    return [f"### {title}\n", found, table, f"![CPU seconds over {grows}]({_plot(what)})\n"]


def _memory(row: Row) -> list[str]:
    """Return the section of the memory."""
    resident, first = dict(_resident(row)), row["settled"]
    last = max(resident)
    late = [size for step, size in resident.items() if step >= first]
    live = {int(step): held / MIB for step, held in row["live"].items()}
    cells = []
    for name, held in (("of the process", resident), ("in live tensors", live)):
        cells.append((name, f"{held[first]:.1f}", f"{held[last]:.1f}", f"{held[last] - held[first]:+.1f}"))
    table = _table(("MiB", f"step {first}", f"step {last}", "growth"), cells)
    span = f"Between these steps the process holds {min(late):.1f} to {max(late):.1f} MiB.\n"
    return ["## Memory\n", table, span, f"![MiB of the process over steps]({_plot('memory')})\n"]


def _second(rows: Sequence[Row]) -> list[str]:
    """Return the section of a second concept, each beside the first one; none without both."""
    known = {r["at"]: r for r in rows}
    if SECOND[0] not in known or len(known) < 2:
        return []
    first = known[SECOND[0]]
    cells: list[Sequence[str]] = []
    names = list(dict.fromkeys(name for row in rows for name in row["parts"]))
    for row in (known[name] for name in SECOND if name in known):
        share = row["cpu"] / first["cpu"]
        verdict = "-" if row is first else "met" if share < TARGET else "missed"
        parts = [f"{row['parts'].get(name, 0):.2f}" for name in names]
        figures = f"{row['cpu']:.2f}", f"{row['wall']:.2f}", f"{share:.3f}"
        cells.append((row["at"], *figures, verdict, str(row["drawn"]), *parts))
    head = "concept", "CPU s", "wall s", "of the first", f"under {TARGET:g}", "entries added"
    return [
        "## A second concept\n",
        "Seconds before the first step, with the cache on the disk that the rows above it filled, and CPU seconds of "
        "each part.\n",
        _table((*head, *(name.replace("_", " ") for name in names)), cells),
        f"{KEYS}\n",
    ]


def _machine(row: Row) -> tuple[str, str]:
    return row["made"]["processor"], row["made"]["torch"]


def _of(rows: Sequence[Row], what: str) -> list[Row]:
    own = [r for r in rows if r["what"] == what]
    return own if what == "second" else sorted(own, key=lambda r: r["at"])


def _points(rows: Sequence[Row]) -> list[tuple[float, float]]:
    return [(r["at"], r["cpu"]) for r in rows]


def _resident(row: Row) -> list[tuple[int, float]]:
    return [(int(step), held / MIB) for step, held in row["resident"].items()]


def _plot(what: str) -> str:
    return f"growth-{what}.svg"


def _signed(value: float) -> str:
    return f"{round(value, 3) + 0.0:+.3f}"  # adding 0 takes the sign of -0


def _axis(label: str, values: Iterable[float]) -> plots.Axis:
    """Return an axis from 0 with round ticks, at most six above 0."""
    highest = max(values)
    power = 10 ** math.floor(math.log10(highest / 6))
    tick = next(f * power for f in (1, 2, 5, 10) if highest <= 6 * f * power)
    count = math.ceil(highest / tick)
    return plots.Axis(label, 0, count * tick, [k * tick for k in range(count + 1)])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
