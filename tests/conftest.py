"""Options and fixtures of the whole test suite."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.clocks import FakeClock
from tests.servers import Servers

# Hypothesis takes a slow machine for a slow test.
slowly = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("default", max_examples=100, **slowly)
settings.register_profile("nightly", max_examples=10_000, **slowly)
settings.load_profile(os.environ.get("AEROLITE_HYPOTHESIS", "default"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--update`, which rewrites the golden files from what is answered now."""
    parser.addoption("--update", action="store_true", help="rewrite the golden files")


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Keep the servers of this session."""
    with Servers() as running:
        yield running


@pytest.fixture
def clock() -> FakeClock:
    """Give a clock to move, that of every replica of the test."""
    return FakeClock()
