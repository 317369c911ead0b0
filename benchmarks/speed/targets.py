"""What was aimed at, on a GPU and on a processor, and whether the rows of one device reach it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from speed.names import ALL_BLOCKS, AS_RELEASED, CAPS, GIB, LEAN, LEFT_OUT, PAPER, UNTOUCHED, USERS, WORK

MIB = 2**20
SIZES_OF_RELEASED = ("SD3.5", "small")
"""How the names of those sizes begin that the released step is run at."""

Row = Mapping[str, Any]
Line = tuple[str, str, str, str]
"""Title, figure, target, verdict."""


class Rows:
    """The rows of one device, size and batch at the smallest images."""

    def __init__(self, rows: Sequence[Row], batch: int):
        self._all = rows
        self._batch = batch
        pixels = min((r["pixels"] for r in rows), default=0)
        self._by_key = {(r["who"], r["stage"], r["setting"], r["batch"]): r for r in rows if r["pixels"] == pixels}

    def ours(self, stage: str, setting: str = "fast", batch: int = 0) -> Row:
        """Return a row of ours; empty where there is none."""
        return self._by_key.get(("ours", stage, setting, batch or self._batch), {})

    def whole_run(self) -> Row:
        """Return the row of a whole run in the fast setting."""
        return self._by_key.get(("whole run", f"extractor, then {PAPER}", "fast", self._batch), {})

    def best(self, who: str) -> Row:
        """Return the fastest row of a contestant."""
        those = [r for r in self._by_key.values() if (r["who"], r["batch"]) == (who, self._batch) and r["seconds"]]
        return min(those, key=lambda r: r["seconds"], default={})

    def faster(self, title: str, who: str, stage: str, least: float) -> Line:
        """Say how many times faster a stage of ours is than another's fastest row, a whole T5 counted in."""
        best = self.best(who)
        whole = best["seconds"] + best["details"].get(LEFT_OUT, 0.0) if best else None
        ratio = _over(whole, self.ours(stage).get("seconds"))
        return _line(f"*fast*, {title}, times faster", ratio, least=least)

    def throughput(self, least: float) -> Line:
        """Say how much of the ceiling the slowest stage of ours reaches."""
        fast = [r for r in self._by_key.values() if (r["who"], r["setting"]) == ("ours", "fast")]
        fast = [r for r in fast if r["batch"] == self._batch and r["seconds"]]
        worst = min((r["tflop"] / r["seconds"] / r["ceiling"] for r in fast), default=None)
        return _line("*fast*, throughput in parts of the ceiling, at the worst stage", worst, least=least)

    def bare(self) -> Line:
        """Say whether the released step's transformers are held up by what is around them."""
        details = self.best("released").get("details", {})
        parts = [details.get(k) for k in ("transformers", "bare calls of their class")]
        return _line("the released step's transformers over bare calls of their class", _over(*parts), most=1.1)

    def cosine(self) -> Line:
        """Say how near the gradients are to those in float32."""
        cosine = min((r["accuracy"]["gradient"] for r in self._all if r["who"] == "accuracy"), default=None)
        return _line("gradient cosine beside plain float32, the worst", cosine, least=0.99)


def targets(rows: Sequence[Row]) -> Iterator[Line]:
    """Yield the targets of the device that the rows are of; without rows those of a GPU."""
    if not any(r["about"]["device"].startswith("CPU") for r in rows):
        return _on_a_gpu(Rows(rows, 2))
    released = any(r["size"].startswith(SIZES_OF_RELEASED) for r in rows)
    return _on_a_processor(Rows(rows, 1)) if released else _other_kinds(Rows(rows, 1))


def _other_kinds(rows: Rows) -> Iterator[Line]:
    """Of models that the released step knows nothing of."""
    yield rows.faster(f"{ALL_BLOCKS}, beside TrainLoraNode", "TrainLoraNode", ALL_BLOCKS, 1.15)
    yield rows.throughput(0.7)


def _on_a_processor(rows: Rows) -> Iterator[Line]:
    yield rows.faster("as released, beside the released step", "released", AS_RELEASED, 1.3)
    yield rows.faster("the same with an untouched-base v_original", "released", UNTOUCHED, 1.6)
    for stage in WORK:
        yield rows.faster(f"{stage}, beside TrainLoraNode", "TrainLoraNode", stage, 1.15)
    yield rows.throughput(0.7)
    small, released = rows.ours(AS_RELEASED, "small"), rows.best("released").get("peak")
    yield _line("*small*, as released, peak beside the released step's", _over(small.get("peak"), released), most=1 / 3)
    training = small["peak"] - small["details"][USERS] * GIB if USERS in small.get("details", {}) else None
    what = "the same without the user's own MODEL, CLIP and VAE, which a GPU does not hold meanwhile"
    yield _line(what, _over(training, released), most=1 / 3)
    yield rows.bare()


def _on_a_gpu(rows: Rows) -> Iterator[Line]:
    """At batch 2 on one H100."""
    yield rows.faster("as released, beside the released step", "released", AS_RELEASED, 2.5)
    yield rows.faster("the same with an untouched-base v_original", "released", UNTOUCHED, 3)
    for stage in WORK:
        yield rows.faster(f"{stage}, beside TrainLoraNode", "TrainLoraNode", stage, 1.5)
    whole = rows.whole_run()
    details = whole.get("details", {})
    complete = details.get("steps of each stage") == 400
    yield _line("*fast*, 400 + 400 steps, images to files, s", whole["seconds"] if complete else None, most=60)
    yield rows.throughput(0.5)
    for stage in LEAN:
        for setting, gib in CAPS.items():
            needs = _memory(rows.ours(stage, setting))
            yield _line(f"*{setting}*, {stage}, reserved and context, GiB", needs, most=gib)
    growth = _over(rows.ours(PAPER, batch=4).get("seconds"), rows.ours(PAPER).get("seconds"))
    yield _line(f"*fast*, {PAPER}, time of a sample at batch 4 over that at batch 2", growth and growth / 2, most=1.1)
    halves = [details.get(f"a step in the {half} half") for half in ("second", "first")]
    yield _line("a step in the second half of a whole run over one in the first", _over(*halves), most=1.05)
    grown = whole.get("grown")
    yield _line("memory at the last step of a whole run beyond the second, MiB", grown and grown / MIB, most=1)
    yield rows.bare()
    yield rows.cosine()


def _over(a: float | None, b: float | None) -> float | None:
    return a / b if a and b else None


def _memory(r: Row) -> float | None:
    """Return reserved memory and context in GiB: infinite where it did not suffice, None where it was not measured."""
    if not r or (r["peak"] is None and not r["note"]):
        return None
    return (r["peak"] + r["context"]) / GIB if r["seconds"] else math.inf


def _line(what: str, value: float | None, least: float = -math.inf, most: float = math.inf) -> Line:
    asked = f"at least {least:.3g}" if most == math.inf else f"at most {most:.3g}"
    if value is None:
        return what, "-", asked, "not run"
    figure = f"{value:.4g}" if math.isfinite(value) else "too little"
    return what, figure, asked, "met" if least <= value <= most else "missed"
