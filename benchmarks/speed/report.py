"""Write the tables of the results into README.md: python benchmarks/speed/report.py [FILE]

With a FILE, such as build/speed/small.jsonl, its tables are printed and nothing is written.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent)]

from speed.names import GIB  # noqa: E402
from speed.targets import Row, targets  # noqa: E402

BEGIN, END = "<!-- results: written by report.py -->", "<!-- end of results -->"
NOTHING = """No GPU was at hand when this was written, so **there are no figures of speed or memory yet**. Every part of
the benchmark has been run on a CPU at small size, whose figures tell nothing about a GPU and are not kept."""
COUNTED = """Weights and a fused attention's map are not among what is saved. "Both" are the passes of L_CC and of
v_original, where that takes a gradient. The passes through CLIP that a trained token asks for are not counted. Of
*anchored* a reference that anchors a sample, which is one in two, goes through the base once for both of its passes."""
ON_A_PROCESSOR = """Ours and others did not have the same memory here, so what is set beside others may not hold: [freed
memory](#freed-memory)."""
SMALL = "Small shapes: this shows that the benchmark runs. **No figure of it is a claim.**"


def main(file: Path | None = None) -> str:
    """Write the README, or return the tables of one file."""
    if file is not None:
        return tables(read(file))
    rows, counts = read(HERE / "results" / "speed.jsonl"), (HERE / "results" / "counts.json").read_text("utf-8")
    measured = (
        tables(rows) if rows else f"## Measured\n{NOTHING}\n\n{_table(('what', 'measured', 'target', ''), targets([]))}"
    )
    text = f"{counted(json.loads(counts))}\n\n{measured}"
    readme = HERE / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    readme.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    return text


def read(path: Path) -> list[Row]:
    """Return the rows of a file, of each the one that was measured last; none where there is no file."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.is_file() else []
    keys = ("who", "stage", "setting", "size", "pixels", "batch")
    return list({(*(r[k] for k in keys), r["about"]["device"]): r for r in rows}.values())


def tables(rows: Sequence[Row]) -> str:
    """Return a section for every device and size."""
    out = []
    for device, size in dict.fromkeys((r["about"]["device"], r["size"]) for r in rows):
        own = [r for r in rows if (r["about"]["device"], r["size"]) == (device, size)]
        versions = ", ".join(f"{k} {v}" for k, v in own[-1]["about"].items() if k != "device")
        line = f"{versions}; a large matrix product reaches {own[-1]['ceiling']:.4g} TFLOP/s."
        out += [f"## Measured: {device}, {size}\n{line}{f' {SMALL}' * (size == 'small')}"]
        out += [ON_A_PROCESSOR] * (device.startswith("CPU") and size != "small")
        out += [_table(("what", "measured", "target", ""), targets(own))]
        head = ("shape", "stage", "who", "type", "s", "TFLOP/s", "of the ceiling", "GiB", "GiB of context", "remarks")
        out += [_table(head, map(_timed, (r for r in own if r["who"] != "accuracy")))]
        errors = ("stage", "setting", "largest error of a velocity", "error of R(y_tar)", "of λ", "gradient cosine")
        near = [_near(r) for r in own if r["who"] == "accuracy"]
        out += ["Beside plain float32 (relative norms):", _table(errors, near)] if near else []
    return "\n\n".join(out)


def _timed(r: Row) -> list[str]:
    """Return the cells of a row: seconds are those of a step, or of a whole run."""
    cells = ["-"] * 3
    if r["seconds"] is not None:
        speed = r["tflop"] / r["seconds"]
        cells = [f"{r['seconds']:.4g}", f"{speed:.3g}", f"{speed / r['ceiling']:.0%}"]
    memory = ["-" if r[k] is None else f"{r[k] / GIB:.2f}" for k in ("peak", "context")]
    before = f"before the first step {sum(r['parts'].values()):.3g} s ({_listed(r['parts'])})" if r["parts"] else ""
    named = [
        f"{r['pixels']} px x {r['batch']}",
        r["stage"],
        f"{r['who']}, {r['setting']}",
        r["dtype"].removeprefix("torch."),
    ]
    return [*named, *cells, *memory, "; ".join(filter(None, (r["note"], _listed(r["details"]), before)))]


def _listed(numbers: Mapping[str, Any]) -> str:
    return ", ".join(v if isinstance(v, str) else f"{k} {v:.3g}" for k, v in numbers.items() if v is not None)


def _near(r: Row) -> list[str]:
    a = r["accuracy"]
    rest = [f"{a[k]:.2g}" if k in a else "-" for k in ("direction", "scale")]
    return [
        r["stage"],
        r["setting"],
        f"{max(v for k, v in a.items() if k[:2] == 'v.'):.2g}",
        *rest,
        f"{a['gradient']:.5f}",
    ]


def counted(c: Mapping[str, Any]) -> str:
    """Return the section of the counts."""
    first, *_ = c["pixels"].values()
    names = {k: f"{k}{_unit(k, c['batch'])}" for k, v in first.items() if isinstance(v, float)}
    lines = [[title, *(f"{of[k]:.4g}" for of in c["pixels"].values())] for k, title in names.items()]
    for stage in first["step"]:
        title = f"a step, {stage}, batch {c['batch']}, TFLOP"
        lines.append([title, *(f"{of['step'][stage]:.4g}" for of in c["pixels"].values())])
    shapes = ", ".join(f"{of['image rows']} at {p} px" for p, of in c["pixels"].items())
    begun = ", ".join(f"{count} for {what}" for what, count in c["operations begun"].items())
    return (
        f"## Counted\n{c['size']}, {c['dtype']}, {c['text rows']} rows of text, rows of the picture: {shapes}. "
        f"Weights {c['weights']:.3g} GB, {c['position embeddings among them']:.2g} of it position embeddings.\n\n"
        + _table(("", *(f"{p} px" for p in c["pixels"])), lines)
        + f"\n\n{COUNTED}\n\nOperations that torch begins, views aside: {begun}."
    )


def _unit(name: str, batch: int) -> str:
    return f", batch {batch}, GB" if name.startswith("saved") else ", a sample, TFLOP"


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *lines))


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if sys.argv[1:] else None))
