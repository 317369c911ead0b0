"""A host that must not complain."""

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
