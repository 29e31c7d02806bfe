"""The engine and the image, started and built once for all end-to-end tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from . import standins
from .engine import Engine, running_engine
from .machine import PROJECT, Unfit, prepare

BUILD_TIMEOUT_S = 600


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """Run a Docker engine that has the stand-ins for the official images."""
    try:
        prepare()
        with running_engine() as engine:
            standins.provide(engine)
            yield engine
    except Unfit as reason:
        pytest.exit(str(reason), returncode=1)


@pytest.fixture(scope="session")
def image(engine: Engine) -> str:
    """Build the image from the checkout, with the Dockerfile and the lock that ship."""
    tag = "aerolite"
    engine.docker(
        # The host's network, because only that is known to reach the package index.
        *("build", "--network", "host", "--tag", tag, *standins.proxies()),
        *("--build-arg", f"PYTHON_IMAGE={standins.image('python')}"),
        *("--build-arg", "VERSION=1.2.3", "--build-arg", "REVISION=abcdef"),
        str(PROJECT),
        timeout_s=BUILD_TIMEOUT_S,
    )
    return tag
