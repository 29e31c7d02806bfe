"""Options of the whole test suite."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

settings.register_profile("default", max_examples=100, deadline=None)
settings.register_profile("nightly", max_examples=10_000, deadline=None)
settings.load_profile(os.environ.get("AEROLITE_HYPOTHESIS", "default"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--update`, which rewrites the golden files from what is answered now."""
    parser.addoption("--update", action="store_true", help="rewrite the golden files")
