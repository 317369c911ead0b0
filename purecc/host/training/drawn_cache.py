"""Keep on the disk what the base model draws before training, so that it draws nothing twice: pool and masks."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import folder_paths
from torch import Tensor

from ...adapters import transaction
from ...adapters.adapter import fingerprint
from ...adapters.safetensors_io import AdapterFileError, read_header, read_tensors, serialise
from .assembly import Assembly
from .identity import digest, encodings_hash

FORMAT = 3
"""To be raised when pool or masks are computed in another way."""
MOST_BYTES = 2**30
LONGEST = 60 * 24 * 3600.0
"""Seconds after its last use in which an entry is kept."""

Tensors = dict[str, Tensor]


class DrawnCache:
    """Tensors on the disk by a key; the oldest go when they are too many.

    Args:
        folder: made when the first entry is written; None: that of this pack among the user's files of the host.
        most_bytes: of all entries.
    """

    def __init__(self, folder: Path | str | None = None, most_bytes: int = MOST_BYTES):
        self.folder = Path(folder or Path(folder_paths.get_system_user_directory("purecc")) / "drawn")
        self._most = most_bytes

    def get(self, key: str) -> Tensors | None:
        """Return an entry; None where there is none, or it is damaged."""
        path = self._path(key)
        if not path.is_file():
            return None
        try:
            about = read_header(path).get("__metadata__", {})
            tensors = read_tensors(path)
            if about.get("purecc.drawn") != fingerprint(tensors):
                raise AdapterFileError(f"{path} is damaged.")
        except (AdapterFileError, OSError) as error:
            logging.warning("PureCC: it is drawn again: %s", error)
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return tensors

    def put(self, key: str, tensors: Tensors) -> None:
        """Write an entry; what cannot be written is drawn again the next time."""
        content = serialise(tensors, {"purecc.drawn": fingerprint(tensors)})
        if len(content) > self._most:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            transaction.sweep(self.folder)
            transaction.publish({self._path(key): content})
            self._thin()
        except OSError as error:
            logging.warning("PureCC: what the base model drew is not kept: %s", error)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def _thin(self) -> None:
        """Delete what was not used for long, and the oldest beyond the room there is."""
        room, now = self._most, time.time()
        known = [(path.stat(), path) for path in self.folder.glob("*.safetensors")]
        for stat, path in sorted(known, key=lambda pair: -pair[0].st_mtime_ns):
            room -= stat.st_size
            if room < 0 or now - stat.st_mtime > LONGEST:
                path.unlink(missing_ok=True)


class BaseDraws:
    """What one base model draws, from the cache where it has it.

    Args:
        base: hash of the model, see `identity.base_hash`.
        assembly: the private copies.
        cache: on the disk.
    """

    def __init__(self, base: str, assembly: Assembly, cache: DrawnCache | None = None):
        self._base, self._assembly, self._cache = base, assembly, cache or DrawnCache()

    def recall(self, texts: Iterable[str], of: Mapping[str, Any], draw: Callable[[], Tensors]) -> Tensors:
        """Return tensors from the cache, or draw them and keep them there.

        Args:
            texts: that they are drawn with.
            of: what else decides what they are, JSON values.
            draw: draws them.
        """
        known = self._assembly.prompts.known
        encodings = encodings_hash((text, known[text]) for text in dict.fromkeys(texts))
        device = self._assembly.field.device.type
        key = digest([FORMAT, self._base, encodings, device, json.loads(json.dumps(dict(of)))])
        found = self._cache.get(key)
        if found is None:
            found = draw()
            self._cache.put(key, found)
        return found
