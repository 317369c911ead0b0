"""Tell errors that mean a lack of memory from others, and say so."""

# SPDX-License-Identifier: GPL-3.0-or-later

from collections.abc import Iterator
from contextlib import contextmanager

_OF_CPU = (
    *("DefaultCPUAllocator", "can't allocate memory", "Cannot allocate memory", "not enough memory"),
    *("std::bad_alloc", "bad allocation", "could not create a primitive"),
)
"""What libraries say when the memory of the computer has run out."""

_OF_READING = "object type 'torch.storage.UntypedStorage'"
"""What torch says where it cannot wrap the bytes that safetensors has read: it drops the allocator's own error."""


def lacks_memory(error: BaseException) -> bool:
    """Return whether an error means that the memory of the computer has run out."""
    if isinstance(error, ValueError):
        return _OF_READING in str(error)
    said = isinstance(error, (RuntimeError, OSError)) and any(words in str(error) for words in _OF_CPU)
    return said or isinstance(error, MemoryError)


@contextmanager
def explain_lack(doing: str) -> Iterator[None]:
    """Say what lacked memory.

    Args:
        doing: names the work inside.

    Raises:
        MemoryError: the memory of the computer has run out.
    """
    try:
        yield
    except Exception as error:
        if not lacks_memory(error):
            raise
        raise MemoryError(f"The computer ran out of memory while {doing}. Close other programs and queue again.") from (
            error
        )
