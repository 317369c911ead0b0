"""Tables and a plot from the results, into README.md: python benchmarks/speed/report.py [FILE]

With a FILE, such as build/speed/small.jsonl, its tables are printed and nothing is written.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent)]

from speed.plot import plot  # noqa: E402
from speed.targets import HEAD, verdicts  # noqa: E402

BEGIN, END = "<!-- results: written by report.py -->", "<!-- end of results -->"
NOTHING = """No GPU was at hand when this was written, so **there are no figures of speed or memory yet**. Every part of
the benchmark has been run on a CPU at small size, whose figures tell nothing about a GPU and are not kept."""

COUNTED = """Weights and a fused attention's map are not among what is saved. "Both" are the passes of L_CC and of
v_original, where that takes a gradient. The passes through CLIP that a trained token asks for are not counted. Of
*anchored* a reference that anchors a sample, which is one in two, goes through the base once for both of its passes."""

Record = Mapping[str, Any]


def main(file: Path | None = None) -> str:
    """Writes the README and the plot, or returns the tables of one file."""
    if file is not None:
        return tables(read(file))
    records = read(HERE / "results" / "speed.jsonl")
    text = counts(json.loads((HERE / "results" / "counts.json").read_text(encoding="utf-8")))
    if records:
        plot(latest(records), HERE / "results" / "speed.svg")
        text = f"{text}\n\n{tables(records)}\n\n![seconds a step](results/speed.svg)"
    else:
        text = f"{text}\n\n## Measured\n{NOTHING}\n\n{_table(HEAD, verdicts([]))}"
    readme = HERE / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    readme.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
    return text


def read(path: Path) -> list[Record]:
    """The rows of a file; none where there is no file."""
    return [json.loads(x) for x in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def latest(records: Iterable[Record]) -> list[Record]:
    """The last row of each that was measured several times on a device."""
    names = ("who", "configuration", "stage", "size", "pixels", "batch")
    return list({(*(r[n] for n in names), r["about"]["device"]): r for r in records}.values())


def tables(records: Sequence[Record]) -> str:
    """A section for every device and size."""
    out, rows = [], latest(records)
    for device, size in dict.fromkeys((r["about"]["device"], r["size"]) for r in rows):
        own = [r for r in rows if (r["about"]["device"], r["size"]) == (device, size)]
        about = own[-1]["about"]
        ceilings = statistics.median(r["ceiling"] for r in own)
        versions = ", ".join(f"{k} {about[k]}" for k in ("torch", "peft", "ComfyUI"))
        dtypes = ", ".join(dict.fromkeys(r["about"]["dtype"] for r in own))
        out.append(
            f"## Measured: {device}, {size} ({dtypes})\n{versions}; a large matrix product reaches "
            f"{ceilings:.4g} TFLOP/s. Commands: {', '.join(f'`{c}`' for c in _commands(own))}."
        )
        if size != "SD3.5 Medium":
            out.append("Small shapes: this shows that the benchmark runs. **No figure of it is a claim.**")
        out.append("### Targets\n\n" + _table(HEAD, verdicts(own)))
        timed = [r for r in own if not r["accuracy"]]
        out += [steps([r for r in timed if r["who"] != "whole"]), before(timed), accuracy(own), inside(timed)]
    return "\n\n".join(part for part in out if part)


def steps(rows: Sequence[Record]) -> str:
    """Seconds, throughput and memory of every row."""
    lines = []
    for r in sorted(rows, key=lambda r: (r["pixels"], r["batch"], r["stage"], r["who"])):
        shown = ["-"] * 5 if r["seconds"] is None else _figures(r)
        lines.append([f"{r['pixels']} px x {r['batch']}", r["stage"], _who(r), *shown, r["note"]])
    head = ("shape", "stage", "who", "s a step", "TFLOP/s", "of the ceiling", "GiB reserved", "GiB of context", "")
    return _table(head, lines)


def before(rows: Sequence[Record]) -> str:
    """What comes before the first step, the models loaded."""
    lines = []
    for r in rows:
        if r["parts"] and r["who"] != "whole":
            parts = ", ".join(f"{k} {v:.3g}" for k, v in r["parts"].items())
            first = "-" if r["first"] is None else f"{r['first']:.3g}"
            lines.append([f"{r['pixels']} px x {r['batch']}", r["stage"], _who(r), f"{r['before']:.3g}", parts, first])
    head = ("shape", "stage", "who", "s before the first step", "its parts, s", "the first step, s")
    return lines and _table(head, lines)


def accuracy(rows: Sequence[Record]) -> str:
    """Errors against plain float32, once for every stage and configuration."""
    lines = {}
    for r in rows:
        if r["accuracy"]:
            a = r["accuracy"]
            velocity = max(v for k, v in a.items() if k.startswith("v."))
            rest = [f"{a[k]:.2g}" if k in a else "-" for k in ("direction", "scale")]
            lines[r["stage"], r["configuration"]] = [
                r["stage"],
                _who(r),
                f"{velocity:.2g}",
                *rest,
                f"{a['gradient']:.5f}",
            ]
    head = (
        "stage",
        "who",
        "largest error of a velocity",
        "error of R(y_tar)",
        "largest difference of λ",
        "gradient cosine",
    )
    return lines and "Against plain float32 (relative norms):\n\n" + _table(head, lines.values())


def inside(rows: Sequence[Record]) -> str:
    """What a step, a whole run or a picture of the sampler consists of, and how ours was planned."""
    lines = []
    for r in rows:
        if r["details"]:
            parts = ", ".join(f"{k} {v:.3g}" if not isinstance(v, str) else v for k, v in r["details"].items())
            total = "-" if r["seconds"] is None else f"{r['seconds']:.3g}"
            lines.append([f"{r['pixels']} px x {r['batch']}", r["stage"], _who(r), total, parts])
    return lines and _table(("shape", "stage", "who", "s", "its parts, s, and ratios"), lines)


def counts(c: Mapping[str, Any]) -> str:
    """The counted cost of the shapes."""
    heads = list(c["pixels"])
    names = [k for k in c["pixels"][heads[0]] if k not in ("step", "image rows")]
    lines = [[f"{k}{_unit(k, c)}", *(f"{c['pixels'][p][k]:.4g}" for p in heads)] for k in names]
    for stage in c["pixels"][heads[0]]["step"]:
        lines.append(
            [f"a step, {stage}, batch {c['batch']}, TFLOP", *(f"{c['pixels'][p]['step'][stage]:.4g}" for p in heads)]
        )
    shapes = ", ".join(f"{c['pixels'][p]['image rows']} at {p} px" for p in heads)
    begun = ", ".join(f"{count} for {what}" for what, count in c["operations begun"].items())
    return (
        f"## Counted\n{c['size']}, {c['dtype']}, {c['text rows']} rows of text, rows of the picture: {shapes}. "
        f"Weights {c['weights']:.3g} GB, {c['position embeddings among them']:.2g} of it position embeddings.\n\n"
        + _table(("", *(f"{p} px" for p in heads)), lines)
        + f"\n\n{COUNTED}\n\nOperations that torch begins, views aside: {begun}."
    )


def _unit(name: str, c: Mapping[str, Any]) -> str:
    return f", batch {c['batch']}, GB" if name.startswith("saved") else ", a sample, TFLOP"


def _figures(r: Record) -> list[str]:
    memory = ["-" if r[k] is None else f"{r[k] / 2**30:.2f}" for k in ("peak_reserved", "context")]
    return [f"{r['seconds']:.4g}", f"{r['throughput']:.3g}", f"{r['of_ceiling']:.0%}", *memory]


def _who(r: Record) -> str:
    names = {
        "ours": "ours",
        "accuracy": "ours",
        "released": "released step",
        "host": "TrainLoraNode",
        "whole": "ours, a whole run",
        "sampler": "stock",
    }
    return f"{names[r['who']]}, {r['configuration']}"


def _commands(rows: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(r["about"]["command"] for r in rows))


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *lines))


if __name__ == "__main__":
    print(main(Path(sys.argv[1]) if sys.argv[1:] else None))
