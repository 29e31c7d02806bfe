"""Options and fixtures of the whole test suite."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from service.settings import SETTINGS
from tests.clocks import FakeClock
from tests.servers import Servers

# Hypothesis takes a slow machine for a slow test. What it finds at random is for the nightly run: a test run
# that says no is to say no again.
slowly = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("default", max_examples=100, derandomize=True, database=None, **slowly)
settings.register_profile("nightly", max_examples=10_000, derandomize=False, **slowly)
settings.load_profile(os.environ.get("AEROLITE_HYPOTHESIS", "default"))

# Whoever runs the tests may have settings of a service of his own, and a terminal (GitHub's runner counts as
# one that has colours); the commands under test, here and in processes of their own, know neither.
TERMINAL = {"COLUMNS", "FORCE_COLOR", "GITHUB_ACTIONS", "LINES", "NO_COLOR", "PY_COLORS", "TTY_COMPATIBLE"}
for name in {*TERMINAL, *(each.name for each in SETTINGS), *(f"{each.name}_FILE" for each in SETTINGS)}:
    os.environ.pop(name, None)


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
