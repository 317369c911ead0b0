"""What was aimed at on one H100, and whether the measured rows reach it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Record = Mapping[str, Any]

RATIO = "transformers / bare calls"
HALVES = "a step in the first half", "a step in the second half"
HEAD = ("what", "measured", "target", "")

AS_RELEASED, UNTOUCHED = "pure learning, as released", "as released, untouched base"
PAPER = "pure learning, paper"
WHOLE = f"extractor, then {PAPER}"
CARD, FP8 = "small, 7.2 GiB", "small, fp8, 5 GiB"
STEPS = 400


def verdicts(rows: Sequence[Record]) -> list[tuple[str, str, str, str]]:
    """A line for each target as in HEAD; the last word is "met", "missed", "not run", or empty for a mere figure.

    The shape is batch 2 at the smallest pictures that were measured.
    """
    pixels = min((r["pixels"] for r in rows), default=512)

    def row(configuration: str, stage: str, who: str = "ours", batch: int = 2, side: int = pixels) -> Record | None:
        key = who, configuration, stage, side, batch
        return next((r for r in rows if key == tuple(r[k] for k in _KEY)), None)

    def best(who: str) -> Record | None:
        those = [r for r in rows if (r["who"], r["pixels"], r["batch"]) == (who, pixels, 2) and r["seconds"]]
        return min(those, key=lambda r: r["seconds"], default=None)

    released, host, whole = best("released"), best("host"), row("fast", WHOLE, "whole")
    out = [
        _faster("*fast*, as released, beside the released step", released, row("fast", AS_RELEASED), 2.5),
        _faster("*fast*, the same with an untouched-base v_original", released, row("fast", UNTOUCHED), 3),
    ]
    for stage in ("extractor", "plain LoRA", "plain LoRA, all blocks"):
        out.append(_faster(f"*fast*, {stage}, beside TrainLoraNode", host, row("fast", stage), 1.5))
    complete = whole and whole["details"].get("steps of each stage") == STEPS
    out.append(_limit("*fast*, 400 + 400 steps, s", whole if complete else None, _seconds, "under 60", 60))
    fast = [r for r in rows if (*(r[k] for k in _KEY[:2]), *(r[k] for k in _KEY[3:])) == ("ours", "fast", pixels, 2)]
    worst = min((r for r in fast if r["of_ceiling"] is not None), key=lambda r: r["of_ceiling"], default=None)
    title = "*fast*, throughput in parts of the ceiling, at the worst stage"
    named = (lambda r: f"{r['of_ceiling']:.0%} ({r['stage']})") if worst else str
    out.append(_line(title, worst, lambda r: r["of_ceiling"] >= 0.5, named, "at least 50%"))
    for stage in ("pure learning, layer-wise", "pure learning, frozen token"):
        for configuration, gib in ((CARD, 7.2), (FP8, 5.0)):
            what = f"*small*{', fp8' * (configuration == FP8)}, {stage}, reserved and context, GiB"
            out.append(_memory(what, row(configuration, stage), gib))
    out.append(_memory("*small*, pure learning, trained token, reserved and context, GiB", row("small", PAPER)))
    for configuration, gib in ((CARD, 7.2), (FP8, 5.0)):
        found = row(configuration, "pure learning, layer-wise", "whole")
        out.append(_memory(f"from pictures to files on a card of {gib:g} GiB, GiB", found, gib))
    return [
        *out,
        *_growth(row, whole),
        *_figures(rows, pixels),
        _fair(released),
        *_unchanged(rows, pixels),
        _near(rows),
    ]


_KEY = ("who", "configuration", "stage", "pixels", "batch")


def _line(
    what: str, r: Any, met: Callable[[Any], bool | None], figure: Callable[[Any], str], asked: str
) -> tuple[str, str, str, str]:
    if r is None:
        return what, "-", asked, "not run"
    return what, figure(r), asked, {True: "met", False: "missed", None: ""}[met(r)]


def _seconds(r: Record) -> float:
    return r["seconds"]


def _limit(what: str, r: Record | None, value: Callable[[Record], float], asked: str, most: float):
    r = r if r is not None and r["seconds"] is not None else None
    return _line(what, r, lambda r: value(r) <= most, lambda r: f"{value(r):.3g}", asked)


def _faster(what: str, theirs: Record | None, ours: Record | None, times: float):
    pair = None
    if theirs and ours and theirs["seconds"] and ours["seconds"]:
        pair = theirs["seconds"], ours["seconds"]

    def said(p) -> str:
        return f"{p[0] / p[1]:.2f} times ({p[0]:.3g} s by {theirs['configuration']}, {p[1]:.3g} s)"

    return _line(what, pair, lambda p: p[0] / p[1] >= times, said, f"at least {times:g} times")


def _memory(what: str, r: Record | None, gib: float | None = None):
    """Reserved memory and context; what did not fit under its cap has missed whatever it took without."""
    asked = "its figure" if gib is None else f"at most {gib:g}"
    if r is not None and r["seconds"] is None:
        return what, r["note"], asked, "missed"
    if r is None or r["peak_reserved"] is None:
        return what, "-", asked, "not run"
    taken = (r["peak_reserved"] + r["context"]) / 2**30
    said = f"{taken:.2f} ({r['context'] / 2**30:.2f} of it context){'; ' * bool(r['note'])}{r['note']}"
    return what, said, asked, "" if gib is None else "met" if taken <= gib and not r["note"] else "missed"


def _growth(row: Callable, whole: Record | None):
    two, four = row("fast", PAPER), row("fast", PAPER, batch=4)
    pair = (two["seconds"] / 2, four["seconds"] / 4) if two and four and two["seconds"] and four["seconds"] else None
    yield _line(
        f"*fast*, {PAPER}, time of a sample at batch 4 over that at batch 2",
        pair,
        lambda p: p[1] / p[0] <= 1.1,
        lambda p: f"{p[1] / p[0]:.2f}",
        "at most 1.1",
    )
    halves = [whole["details"].get(k) for k in HALVES] if whole else [None]
    yield _line(
        "time of a step in the second half of a whole run over that in the first",
        halves if all(halves) else None,
        lambda p: p[1] / p[0] <= 1.05,
        lambda p: f"{p[1] / p[0]:.3f}",
        "at most 1.05",
    )
    yield _line(
        "memory in use at the last step of a whole run beyond that at the second, MiB",
        None if whole is None else whole["grown"],
        lambda grown: grown <= 2**20,
        lambda grown: f"{grown / 2**20:.2f}",
        "at most 1",
    )


def _figures(rows: Sequence[Record], pixels: int):
    """Of the paper's stage at the larger pictures."""
    side = max((r["pixels"] for r in rows), default=pixels)
    for r in rows:
        if side > pixels and (r["who"], r["stage"], r["pixels"], r["batch"]) == ("ours", PAPER, side, 2):
            memory = "" if r["peak_reserved"] is None else f", {(r['peak_reserved'] + r['context']) / 2**30:.2f} GiB"
            said = r["note"] if r["seconds"] is None else f"{r['seconds']:.3g} s{memory}"
            yield f"*{r['configuration']}*, {r['stage']}, {side} px", said, "its figures", ""


def _fair(released: Record | None):
    """Whether the released step's transformers take what bare calls of their class take."""
    ratio = None if released is None else released["details"].get(RATIO)
    what = "the released step's transformers over bare calls of their class"
    if released is not None and "checkpointed" in released["configuration"]:
        ratio = None
    return _line(what, ratio, lambda x: x <= 1.1, lambda x: f"{x:.3f}", "at most 1.10")


def _unchanged(rows: Sequence[Record], pixels: int):
    """The stock KSampler after training beside itself before."""
    found = {r["configuration"]: r for r in rows if r["who"] == "sampler" and r["pixels"] == pixels}
    pair = [found.get("before training"), found.get("after training")]
    pair = pair if all(pair) else None
    yield _line(
        "KSampler after training: difference of the picture",
        pair,
        lambda p: p[1]["details"]["difference"] == 0,
        lambda p: f"{p[1]['details']['difference']:.3g}",
        "0",
    )
    yield _line(
        "KSampler after training: time over that before",
        pair,
        lambda p: p[1]["seconds"] / p[0]["seconds"] <= 1.05,
        lambda p: f"{p[1]['seconds'] / p[0]['seconds']:.3f}",
        "at most 1.05",
    )
    yield _line(
        "KSampler after training: memory in use beyond that before, MiB",
        pair,
        lambda p: p[1]["details"]["held"] - p[0]["details"]["held"] <= 2**20,
        lambda p: f"{(p[1]['details']['held'] - p[0]['details']['held']) / 2**20:.2f}",
        "at most 1",
    )


def _near(rows: Sequence[Record]):
    cosines = [(r["accuracy"]["gradient"], r) for r in rows if r["accuracy"]]
    worst = min(cosines, key=lambda pair: pair[0], default=None)
    return _line(
        "gradient cosine beside plain float32, the worst",
        worst,
        lambda pair: pair[0] >= 0.99,
        lambda pair: f"{pair[0]:.5f} ({pair[1]['stage']}, {pair[1]['configuration']})",
        "at least 0.99",
    )
