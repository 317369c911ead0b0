"""Put the host's loras and embeddings folders elsewhere for one test."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

KINDS = ("loras", "embeddings")


@contextmanager
def folders_in(root: Path) -> Iterator[Path]:
    """Let the host read and write `loras` and `embeddings` in this folder, which holds both, and only there."""
    import folder_paths

    before = {kind: folder_paths.folder_names_and_paths[kind] for kind in KINDS}
    for kind, (_, endings) in before.items():
        folder_paths.folder_names_and_paths[kind] = ([str(root / kind)], endings)
        folder_paths.filename_list_cache.pop(kind, None)
    yield root
    for kind, entry in before.items():
        folder_paths.folder_names_and_paths[kind] = entry
        folder_paths.filename_list_cache.pop(kind, None)


@pytest.fixture
def host_folders(comfyui, tmp_path):
    """The host's loras and embeddings folders, of this test alone."""
    for kind in KINDS:
        (tmp_path / kind).mkdir()
    with folders_in(tmp_path) as folders:
        yield folders
