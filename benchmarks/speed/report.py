"""Write the tables of the results into README.md: python benchmarks/speed/report.py [FILE]

With a FILE, such as build/speed/small.jsonl, its tables are printed and nothing is written.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BEGIN, END = "<!-- results: written by report.py -->", "<!-- end of results -->"
NOTHING = """No GPU was at hand when this was written, so **there are no figures of speed or memory yet**. Every part of
the benchmark has been run on a CPU at small size, whose figures tell nothing about a GPU and are not kept."""
COUNTED = """Weights and a fused attention's map are not among what is saved. "Both" are the passes of L_CC and of
v_original, where that takes a gradient. The passes through CLIP that a trained token asks for are not counted. Of
*anchored* a reference that anchors a sample, which is one in two, goes through the base once for both of its passes."""
SMALL = "Small shapes: this shows that the benchmark runs. **No figure of it is a claim.**"

AS_RELEASED, UNTOUCHED = "pure learning, as released", "as released, untouched base"
LEAN, PAPER = ("pure learning, layer-wise", "pure learning, frozen token"), "pure learning, paper"
CAPS = {"small, 7.2 GiB": 7.2, "small, fp8, 5 GiB": 5.0}
GIB, MIB = 2**30, 2**20

Row = Mapping[str, Any]


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


def targets(rows: Sequence[Row]) -> Iterator[tuple[str, str, str, str]]:
    """Yield what was aimed at on one H100, at batch 2 and the smallest images: title, figure, target, verdict."""
    pixels = min((r["pixels"] for r in rows), default=512)
    by_key = {(r["who"], r["stage"], r["setting"], r["batch"]): r for r in rows if r["pixels"] == pixels}

    def seconds(stage: str, batch: int = 2) -> float | None:
        return by_key.get(("ours", stage, "fast", batch), {}).get("seconds")

    def best(who: str) -> Row:
        those = [r for r in by_key.values() if (r["who"], r["batch"]) == (who, 2) and r["seconds"]]
        return min(those, key=lambda r: r["seconds"], default={})

    released, host = best("released"), best("TrainLoraNode")
    pairs = [("as released, beside the released step", released, AS_RELEASED, 2.5)]
    pairs += [("the same with an untouched-base v_original", released, UNTOUCHED, 3)]
    stages = "extractor", "plain LoRA", "plain LoRA, all blocks"
    pairs += [(f"{stage}, beside TrainLoraNode", host, stage, 1.5) for stage in stages]
    for what, theirs, stage, least in pairs:
        yield _line(f"*fast*, {what}, times faster", _over(theirs.get("seconds"), seconds(stage)), least=least)

    whole = by_key.get(("whole run", f"extractor, then {PAPER}", "fast", 2), {})
    details = whole.get("details", {})
    complete = details.get("steps of each stage") == 400
    yield _line("*fast*, 400 + 400 steps, images to files, s", whole["seconds"] if complete else None, most=60)
    fast = [r for r in by_key.values() if (r["who"], r["setting"], r["batch"]) == ("ours", "fast", 2) and r["seconds"]]
    worst = min((r["tflop"] / r["seconds"] / r["ceiling"] for r in fast), default=None)
    yield _line("*fast*, throughput in parts of the ceiling, at the worst stage", worst, least=0.5)
    for stage in LEAN:
        for setting, gib in CAPS.items():
            needs = _memory(by_key.get(("ours", stage, setting, 2)))
            yield _line(f"*{setting}*, {stage}, reserved and context, GiB", needs, most=gib)
    growth = _over(seconds(PAPER, batch=4), seconds(PAPER))
    yield _line(f"*fast*, {PAPER}, time of a sample at batch 4 over that at batch 2", growth and growth / 2, most=1.1)
    halves = [details.get(f"a step in the {half} half") for half in ("second", "first")]
    yield _line("a step in the second half of a whole run over one in the first", _over(*halves), most=1.05)
    grown = whole.get("grown")
    yield _line("memory at the last step of a whole run beyond the second, MiB", grown and grown / MIB, most=1)
    parts = [released.get("details", {}).get(k) for k in ("transformers", "bare calls of their class")]
    yield _line("the released step's transformers over bare calls of their class", _over(*parts), most=1.1)
    cosine = min((r["accuracy"]["gradient"] for r in rows if r["who"] == "accuracy"), default=None)
    yield _line("gradient cosine beside plain float32, the worst", cosine, least=0.99)


def _over(a: float | None, b: float | None) -> float | None:
    return a / b if a and b else None


def _memory(r: Row | None) -> float | None:
    """Return reserved memory and context in GiB: infinite where it did not suffice, None where it was not measured."""
    if r is None or (r["peak"] is None and not r["note"]):
        return None
    return (r["peak"] + r["context"]) / GIB if r["seconds"] else math.inf


def _line(
    what: str, value: float | None, least: float = -math.inf, most: float = math.inf
) -> tuple[str, str, str, str]:
    asked = f"at least {least:g}" if most == math.inf else f"at most {most:g}"
    if value is None:
        return what, "-", asked, "not run"
    return (
        what,
        f"{value:.4g}" if math.isfinite(value) else "too little",
        asked,
        "met" if least <= value <= most else "missed",
    )


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
