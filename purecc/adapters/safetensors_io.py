"""Read and make safetensors: reproducible bytes, checked reads."""

# SPDX-License-Identifier: GPL-3.0-or-later

import json
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from .memory_errors import explain_lack, lacks_memory

_HEADER_LIMIT = 100_000_000  # of the format, in bytes


class AdapterFileError(ValueError):
    """Raised for a file that cannot be loaded as an adapter; the message says why and what to do."""


def serialise(tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> bytes:
    """Return a safetensors file, equal bytes for equal content; the library alone would shuffle the metadata.

    Raises:
        MemoryError: the computer has too little memory.
    """
    with explain_lack("saving"):
        blob = safetensors.torch.save({k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()})
        start = 8 + int.from_bytes(blob[:8], "little")
        layout = json.loads(blob[8:start])
        layout.pop("__metadata__", None)
        header = json.dumps({"__metadata__": dict(sorted(about.items())), **layout}).encode()
        header += b" " * (-len(header) % 8)
        return len(header).to_bytes(8, "little") + header + blob[start:]


def read_header(path: Path, named: bool = True) -> dict:
    """Return a file's header: "__metadata__", and "dtype", "shape", "data_offsets" of every tensor.

    Args:
        path: of the file.
        named: whether its name must be one of a safetensors file.

    Raises:
        AdapterFileError: no such file, another format, truncated or damaged.
    """
    if not path.is_file():
        raise AdapterFileError(f"{path} does not exist. Choose another file.")
    if named and path.suffix.lower() != ".safetensors":
        raise AdapterFileError(
            f"{path} is not a safetensors file. PureCC reads no other format, because pickles can run code."
        )
    with path.open("rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > _HEADER_LIMIT:
            raise AdapterFileError(f"{path} is not a safetensors file despite its name. Get the original file.")
        try:
            header = json.loads(file.read(length))
            if header.get("__metadata__") is None:
                header.pop("__metadata__", None)
            elif not all(isinstance(value, str) for value in header["__metadata__"].values()):
                raise TypeError("metadata that is not text")
            ends = (entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__")
            size = 8 + length + max(ends, default=0)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError, MemoryError) as error:
            raise AdapterFileError(
                f"{path} has a broken header, so it is truncated or not a safetensors file. Get it again."
            ) from error
    if path.stat().st_size != size:
        raise AdapterFileError(f"{path} is truncated or damaged. Copy or download it again.")
    return header


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return a file's tensors.

    Raises:
        AdapterFileError: the file is damaged.
        MemoryError: the computer has too little memory.
    """
    with explain_lack(f"reading {path}"):
        try:  # not memory-mapped: Windows cannot replace a mapped file
            return safetensors.torch.load(path.read_bytes())
        except (SafetensorError, LookupError, ValueError, TypeError, RuntimeError) as error:
            if lacks_memory(error):
                raise
            raise AdapterFileError(f"{path} is damaged ({error}). Get it again.") from error
