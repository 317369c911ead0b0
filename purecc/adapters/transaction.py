"""Replace the two files of an adapter as one: the old pair or the new pair can be loaded at every moment.

The steps: both new files are written beside their places (`.NAME.STAMP.new`), the old ones are linked there (`.old`),
the LoRA is renamed, which decides, and then the embedding. What a killed process leaves is finished or undone by
`recover`: an embedding belongs to the LoRA in place that carries its id.
"""

# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

_LEFT_OVER = re.compile(r"\.(?P<name>.+)\.(?:(?P<pid>\d+)-)?(?P<stamp>[0-9a-f]{32})\.(?P<kind>new|old)")
_HOUR = 3600.0


@contextlib.contextmanager
def named(path: Path, size: int = 0) -> Iterator[None]:
    """Re-raise the errors of the system inside with the file that was to be written, the room there is and advice."""
    try:
        yield
    except OSError as error:
        if error.errno is None or isinstance(error.__cause__, OSError):  # one of our own, or named already
            raise
        raise _named(error, path, size) from error


def publish(contents: Mapping[Path, bytes | None]) -> None:
    """Write all files and remove those without content, the first file first; a failure leaves all unchanged.

    Raises:
        OSError: a file cannot be written; names it, its size and the room there is.
    """
    stamp = f"{os.getpid()}-{uuid.uuid4().hex}"
    written = {path: content for path, content in contents.items() if content is not None}
    new = {path: path.with_name(f".{path.name}.{stamp}.new") for path in written}
    old = {path: path.with_name(f".{path.name}.{stamp}.old") for path in contents if path.exists()}
    done: list[Path] = []
    path = next(iter(contents), Path())
    try:
        for path, temporary in new.items():
            _write(temporary, written[path])
        for path, backup in old.items():
            _link(path, backup)
        _sync_folders(contents)
        for path in contents:
            if path in new:
                new[path].replace(path)
            else:
                path.unlink()
            done.append(path)
            _sync_folders([path])
    except BaseException as error:  # Cancel is not an Exception
        for changed in done:  # if this fails, too, what is left over stays for `recover`
            if changed in old:
                old[changed].replace(changed)
            else:
                changed.unlink()
        _remove([*new.values(), *old.values()])
        if isinstance(error, OSError):
            raise _named(error, path, len(written.get(path, b""))) from error
        raise
    _remove([*new.values(), *old.values()])


def left_over(folders: Iterable[Path], names: Iterable[str] | None = None) -> Iterator[tuple[Path, Path, str]]:
    """Yield (file, the file it was to become or was, "new" or "old") of everything that saves left in folders.

    Args:
        folders: they need not exist.
        names: file names of adapters; None for all.
    """
    wanted = None if names is None else set(names)
    for folder in folders:
        try:
            files = sorted(folder.iterdir())
        except OSError:
            continue
        for path in files:
            found = _LEFT_OVER.fullmatch(path.name)
            if found and (wanted is None or found["name"] in wanted):
                yield path, path.with_name(found["name"]), found["kind"]


def walk(folder: Path | str) -> Iterator[Path]:
    """Yield all files below a folder, through links as the host does."""
    for root, _, names in os.walk(folder, followlinks=True):
        yield from (Path(root) / name for name in sorted(names))


def recover(loras: Iterable[Path], embeddings: Iterable[Path], identity: Callable[[Path, str], str | None]) -> None:
    """Finish or undo what killed processes left, and remove the rest; a save under way is left alone.

    Args:
        loras: folders of LoRAs.
        embeddings: folders of embeddings.
        identity: returns the id of a file that is this part, "lora" or "embedding"; None if it is not.
    """
    loras = list(loras)
    of_embeddings = [item for item in left_over(embeddings) if _is_dead(item[0])]
    for path, target, kind in of_embeddings:
        with contextlib.suppress(OSError):  # a read-only folder; loading still finds what is left over
            mine, there = identity(path, "embedding"), identity(target, "embedding")
            in_place = {identity(folder / target.name, "lora") for folder in loras} - {None}
            if mine in in_place and there != mine:
                path.replace(target)
            elif kind == "old" and mine and there == mine and in_place and mine not in in_place:
                target.unlink()  # its LoRA was replaced by one without an embedding
            _sync_folders([target])
            path.unlink(missing_ok=True)
    for folder in loras:
        sweep(folder)


def sweep(folder: Path) -> None:
    """Remove what killed processes left in a folder of files that no other file belongs to; none of them is lost."""
    for path, target, kind in list(left_over([folder])):
        if _is_dead(path):
            with contextlib.suppress(OSError):
                if kind == "old" and not target.exists():
                    path.replace(target)
                path.unlink(missing_ok=True)


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _link(path: Path, backup: Path) -> None:
    """Give a file a second name, or copy it where the file system has no links."""
    try:
        os.link(path, backup)
    except OSError:
        shutil.copyfile(path, backup)


def _sync_folders(paths: Iterable[Path]) -> None:
    """Bring the names of files to the disk; Windows does so by itself."""
    for folder in {path.parent for path in paths}:
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _named(error: OSError, path: Path, size: int) -> OSError:
    """Return the same error with the file, its size, the room there is and what to do."""
    try:
        room = f"{shutil.disk_usage(path.parent).free} are free"
    except OSError:
        room = "the folder cannot be read"
    reason = error.strerror or str(error) or type(error).__name__
    out = type(error)(
        f"{path} cannot be written: {reason}. It needs {size} bytes, and {room}. Free some space, make the folder "
        "writable or close programs that use the file, and save again."
    )
    out.errno = error.errno
    return out


def _is_dead(path: Path) -> bool:
    """Return whether the process that wrote a left-over file has ended, or cannot be told and the file is old."""
    found = _LEFT_OVER.fullmatch(path.name)
    try:
        age = time.time() - path.stat().st_mtime
    except OSError:
        return False
    if age > _HOUR:
        return True
    if not found or not found["pid"] or os.name != "posix":
        return age > 60
    if (pid := int(found["pid"])) == os.getpid():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
