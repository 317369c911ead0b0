"""Models that a test may train."""

import pytest
import runs


@pytest.fixture(params=["reloaded", "copied"])
def own(request, checkpoint):
    """Models of this test alone, by either route to a private copy."""
    return runs.load(checkpoint, reload=request.param == "reloaded")
