"""Numbered files `KEY.0001`, `KEY.0002`, ... in a folder, each made complete and once. None is changed or deleted."""

import itertools
import json
import os
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

MARK = ".settled"


class EventFiles:
    """The events of some keys.

    Args:
        folder: made here.
        keys: files of others in the folder are left alone.
    """

    def __init__(self, folder: Path, keys: Iterable[str]):
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._keys = {_file(key): key for key in keys}
        self._known: dict[tuple[str, int], dict[str, Any]] = {}

    def path(self, key: str, number: int) -> Path:
        """Return where an event is or will be."""
        return self._folder / f"{_file(key)}.{number:04}"

    def listing(self) -> tuple[dict[str, int], set[str]]:
        """Return the highest number of each key that has any, and those that are marked at it."""
        top: dict[str, int] = {}
        marks = []
        with os.scandir(self._folder) as found:
            for one in found:
                is_mark = one.name.endswith(MARK)
                file, _, ending = one.name.removesuffix(MARK).rpartition(".")
                key = self._keys.get(file)
                if key is None or not ending.isdigit():
                    continue
                if is_mark:
                    marks.append((key, int(ending)))
                else:
                    top[key] = max(top.get(key, 0), int(ending))
        return top, {key for key, number in marks if top.get(key) == number}

    def read(self, key: str, number: int) -> dict[str, Any]:
        """Return an event; {} for one that a power cut has emptied."""
        known = self._known.get((key, number)) or _read(self.path(key, number))
        if known:
            self._known[key, number] = known
        return known

    def write(self, key: str, number: int, event: dict[str, Any], sync: bool = False) -> bool:
        """Make an event's file; return False if there is one already.

        Args:
            key: the key.
            number: of the event.
            event: JSON values.
            sync: wait until it is on the disk.
        """
        path = self.path(key, number)
        if path.exists():
            return False
        new = self._folder / f".{uuid.uuid4().hex}.new"
        try:
            with new.open("w", encoding="utf-8") as file:
                json.dump(event | {"key": key}, file, ensure_ascii=False)
                if sync:
                    file.flush()
                    os.fsync(file.fileno())
            _name_once(new, path)
        except FileExistsError:
            return False
        finally:
            new.unlink(missing_ok=True)
        return True

    def mark(self, key: str, number: int) -> None:
        """Mark an event, so that others need not read it."""
        path = self.path(key, number)
        path.with_name(path.name + MARK).touch()


def latest(folder: Path, kind: str) -> Iterable[dict[str, Any]]:
    """Yield the latest event of every key in a folder whose "event" is of a kind."""
    numbered = [path for path in folder.glob("*.[0-9]*") if path.suffix[1:].isdigit()]
    numbered.sort(key=lambda path: (path.stem, int(path.suffix[1:])))
    for _, paths in itertools.groupby(numbered, lambda path: path.stem):
        events = map(_read, reversed(list(paths)))
        last = next((event for event in events if event.get("event") == kind), None)
        if last is not None:
            yield last


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _name_once(new: Path, path: Path) -> None:
    """Give a complete file its name; raise FileExistsError if another has it."""
    try:
        os.link(new, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        with path.open("x", encoding="utf-8") as file:
            file.write(new.read_text(encoding="utf-8"))


def _file(key: str) -> str:
    return quote(key, safe="")
