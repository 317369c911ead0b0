"""The file of the rows, and what is still to be measured."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from speed.measured import Row, Shape, append


class Log:
    """Rows as they are measured, and what is not.

    Args:
        out: their file.
        deadline: by the monotonic clock, after which no row is begun.
        device: that is measured.
        size: name of the Size.
        missing: whether rows that the file has already of this device and size are left out.

    Attributes:
        rows: that were measured.
        left_out: those for which there was no time.
        failed: what ended with an error.
    """

    def __init__(self, out: Path, deadline: float, device: str, size: str, missing: bool = False):
        self.out, self._deadline = out, deadline
        self.rows: list[Row] = []
        self.left_out: list[str] = []
        self.failed: list[str] = []
        self._known: set[tuple] = set()
        self._seconds: dict[tuple[str, str], float] = {}
        lines = out.read_text(encoding="utf-8").splitlines() if missing and out.is_file() else []
        for r in map(json.loads, lines):
            if (r["about"]["device"], r["size"]) == (device, size):
                plain = r["configuration"].removesuffix(", checkpointed")
                self._known.add((r["who"], r["stage"], plain, r["pixels"], r["batch"]))
                self._note(r["who"], r["configuration"], r["seconds"])

    def wants(self, who: str, stage: str, shapes: Sequence[Shape], configurations: Iterable[str]) -> bool:
        """Whether any such row is missing and there is time to measure it; the last word has `asked`."""
        wanted = self.asked(who, stage)
        return any([wanted(c, s) for s, c in itertools.product(shapes, configurations)])

    def asked(self, who: str, stage: str) -> Callable[[str, Shape], bool]:
        """Whether the row of a configuration and a shape is to be measured now."""

        def wanted(configuration: str, shape: Shape) -> bool:
            if (who, stage, configuration, shape.pixels, shape.batch) in self._known:
                return False
            if time.monotonic() < self._deadline:
                return True
            title = f"{who}, {stage}, {configuration}, {shape.pixels} px x {shape.batch}"
            if title not in self.left_out:
                self.left_out.append(title)
            return False

        return wanted

    def append(self, line: Row) -> None:
        """Writes a row."""
        append(self.out, line)
        self.rows.append(line)
        self._note(line.who, line.configuration, line.seconds)

    def fastest(self, who: str, names: Iterable[str]) -> list[str]:
        """Of settings whose rows come in pairs the one that was the faster the first time; all where none was timed."""
        timed = [name for name in names if (who, name) in self._seconds]
        return [min(timed, key=lambda name: self._seconds[who, name])] if timed else list(names)

    def _note(self, who: str, configuration: str, seconds: float | None) -> None:
        if seconds is not None:
            self._seconds.setdefault((who, configuration), seconds)
