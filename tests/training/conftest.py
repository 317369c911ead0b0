"""Fixtures of the tests of the loop."""

from loop import stage2  # noqa: F401
