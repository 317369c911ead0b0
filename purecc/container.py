"""The safetensors container: bytes that depend on the content alone, checked reads, writes that happen or do not."""

# SPDX-License-Identifier: GPL-3.0-or-later

import json
import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

_HEADER_LIMIT = 100_000_000  # of the format, in bytes


class AdapterFileError(ValueError):
    """A file that cannot be loaded as an adapter; the message says why and what to do."""


def serialise(tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> bytes:
    """Returns a safetensors file, the same bytes for the same content: the library shuffles the metadata."""
    blob = safetensors.torch.save({k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()})
    start = 8 + int.from_bytes(blob[:8], "little")
    layout = json.loads(blob[8:start])
    layout.pop("__metadata__", None)
    header = json.dumps({"__metadata__": dict(sorted(about.items())), **layout}).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + blob[start:]


def read_header(path: Path) -> dict:
    """Returns a file's header: "__metadata__", and "dtype", "shape", "data_offsets" of every tensor.

    Raises:
        AdapterFileError: no such file, another format, truncated or damaged.
    """
    if not path.is_file():
        raise AdapterFileError(f"{path} does not exist.")
    if path.suffix.lower() != ".safetensors":
        raise AdapterFileError(f"{path} is not a safetensors file. PureCC reads nothing else: pickles can run code.")
    with path.open("rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > _HEADER_LIMIT:
            raise AdapterFileError(f"{path} is not a safetensors file, whatever its name says.")
        try:
            header = json.loads(file.read(length))
            ends = (entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__")
            size = 8 + length + max(ends, default=0)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            raise AdapterFileError(f"{path} has a broken header: it is truncated or no safetensors file.") from error
    if path.stat().st_size != size:
        raise AdapterFileError(f"{path} is truncated or damaged: copy or download it again.")
    return header


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Returns a file's tensors, or raises AdapterFileError."""
    try:  # not mapped into memory: on Windows a mapped file could not be replaced
        return safetensors.torch.load(path.read_bytes())
    except SafetensorError as error:
        raise AdapterFileError(f"{path} is damaged: {error}") from error


def publish(contents: Mapping[Path, bytes | None]) -> None:
    """Writes all files, or removes those without content; changes none if anything fails."""
    stamp = uuid.uuid4().hex
    new = {path: path.with_name(f".{path.name}.{stamp}.new") for path in contents if contents[path] is not None}
    old = {path: path.with_name(f".{path.name}.{stamp}.old") for path in contents if path.exists()}
    done = []
    try:
        for path, temporary in new.items():
            with temporary.open("wb") as file:
                file.write(contents[path])
                file.flush()
                os.fsync(file.fileno())
        for path, backup in old.items():
            shutil.copyfile(path, backup)
        for path in contents:
            if path in new:
                new[path].replace(path)
            else:
                path.unlink()
            done.append(path)
    except BaseException:  # Cancel is no Exception
        for path in done:
            if path in old:
                old.pop(path).replace(path)
            else:
                path.unlink()
        raise
    finally:
        for leftover in (*new.values(), *old.values()):
            leftover.unlink(missing_ok=True)
