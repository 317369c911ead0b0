"""Write the table of the campaign into a page, from its rows alone."""

from collections import Counter
from pathlib import Path
from typing import Any

from faults.judge import BAD, RULES, VERDICTS

START, END = "<!-- faults -->", "<!-- /faults -->"
TITLES = {
    "killed_saves": "kill -9 before each system call of a save",
    "disks": "full, read-only and failing disks, at each system call of a save",
    "damaged": "damaged and lying files",
    "interrupted": "exceptions, Cancel and failing allocations at random operations of a run",
    "not_finite": "NaN and infinity in every class of tensor",
    "memory": "limits on the memory of a process",
    "killed_runs": "kill -9 at random moments of a run",
    "inputs": "bad values for every input of every node, in a server",
    "routes": "bad requests to every route, in a server",
}


def table(rows: list[dict[str, Any]]) -> str:
    """Return the figures of all kinds, as Markdown."""
    lines = [f"| fault | tried | {' | '.join(VERDICTS)} | memory, MB |", f"|{'---|' * (len(VERDICTS) + 3)}"]
    every: Counter[str] = Counter()
    for kind, title in TITLES.items():
        own = [row for row in rows if row["kind"] == kind]
        if own:
            counts = Counter(row["verdict"] for row in own)
            every += counts
            lines.append(_line(title, counts, _memory(own)))
    return "\n".join([*lines, _line("**all**", every, "")])


def _line(title: str, counts: Counter[str], memory: str) -> str:
    return f"| {title} | {counts.total()} | {' | '.join(str(counts[v]) for v in VERDICTS)} | {memory} |"


def _memory(rows: list[dict[str, Any]]) -> str:
    """Return the median of the first and of the last tenth of a kind's faults."""
    known = [row["mb"] for row in rows if row["mb"]]
    tenth = max(1, len(known) // 10)
    if not known:
        return ""
    first, last = (sorted(part)[len(part) // 2] for part in (known[:tenth], known[-tenth:]))
    return f"{first} → {last}"


def page(rows: list[dict[str, Any]]) -> str:
    """Return what stands between the marks of the page."""
    out = [table(rows), "", "What the columns mean:", ""]
    out += [f"- **{verdict}**: {rule}." for verdict, rule in RULES.items()]
    bad = [row for row in rows if row["verdict"] in BAD]
    out += ["", "Everything that was not as it should be or clear:" if bad else "Nothing else was found.", ""]
    out += [f"- {row['verdict']}: {TITLES[row['kind']]}, {row['case']}: {row['said'] or 'no word'}" for row in bad]
    return "\n".join(out).rstrip()


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Put the figures between the marks of a page."""
    before, _, rest = path.read_text(encoding="utf-8").partition(START)
    after = rest.partition(END)[2]
    path.write_text(f"{before}{START}\n{page(rows)}\n{END}{after}", encoding="utf-8")
