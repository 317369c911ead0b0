"""The JSON report of a folder: an entry for each concept, gathered from the ends in its queue."""

import json
import os
import time
from pathlib import Path
from typing import Any

from concept_queue import ends

REPORT = "report.json"
SHARE = 0.01
"""The largest share of the time that writing it may take while there is work."""


class Report:
    """Gathers and writes the report.

    Args:
        out: folder of the report.
        queue: folder of the queue.
    """

    def __init__(self, out: Path, queue: Path):
        self.path, self._queue, self._due = out / REPORT, queue, 0.0

    def write(self, last: bool = False) -> dict[str, dict[str, Any]]:
        """Write it if that costs little or is the last time, and return the entries by name as they are then.

        Of several processes that end together, the latest to write has seen all that ended before.
        """
        began = time.monotonic()
        if not last and began < self._due:
            return {}
        concepts, written = self._entries(), None
        while concepts != written:
            new = self.path.with_suffix(f".{os.getpid()}.new")
            new.write_text(json.dumps({"concepts": concepts}, indent=1, ensure_ascii=False), encoding="utf-8")
            new.replace(self.path)
            concepts, written = self._entries(), concepts
        now = time.monotonic()
        self._due = now + (now - began) / SHARE
        return concepts

    def _entries(self) -> dict[str, dict[str, Any]]:
        latest = sorted((end for end in ends(self._queue) if end.get("entry")), key=lambda end: end["time"])
        return {end["entry"]["name"]: end["entry"] for end in latest}
