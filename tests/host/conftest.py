"""A host that must not complain, and folders of one test alone."""

import logging
import tempfile

import pytest


@pytest.fixture
def quiet_host(caplog, monkeypatch, tmp_path):
    """Fails a test that makes the host warn of a leak, or leaves temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    caplog.set_level(logging.INFO)
    yield
    assert not [r.getMessage() for r in caplog.records if "memory leak" in r.getMessage().lower()]
    assert not list(tmp_path.iterdir())


@pytest.fixture
def host_folders(comfyui, tmp_path):
    """The host's loras and embeddings folders, of this test alone."""
    import folder_paths

    before = {kind: folder_paths.folder_names_and_paths[kind] for kind in ("loras", "embeddings")}
    for kind, (_, endings) in before.items():
        (tmp_path / kind).mkdir()
        folder_paths.folder_names_and_paths[kind] = ([str(tmp_path / kind)], endings)
        folder_paths.filename_list_cache.pop(kind, None)
    yield tmp_path
    for kind, entry in before.items():
        folder_paths.folder_names_and_paths[kind] = entry
        folder_paths.filename_list_cache.pop(kind, None)
