"""Fixtures of the tests that draw with two models."""

from drawn import customised, drawn  # noqa: F401
