"""What tests of the command line share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from typer.testing import CliRunner, Result

from service.cli.app import app
from service.cli.session import Session
from service.settings import Settings


@dataclass
class FakeServer:
    """Serves nothing, and remembers that it was asked to."""

    runs: int = 0
    failure: OSError | None = None

    async def run(self) -> None:
        """Return at once, or fail."""
        self.runs += 1
        if self.failure is not None:
            raise self.failure


@dataclass
class FakeServices:
    """Stands for the container: remembers the settings it was built with."""

    server: FakeServer = field(default_factory=FakeServer)
    settings: Settings | None = None

    def build(self, settings: Settings) -> FakeServices:
        """Build the services."""
        self.settings = settings
        return self

    def serve(self) -> FakeServer:
        """Return the server."""
        return self.server


@pytest.fixture(autouse=True)
def logging_untouched() -> Iterator[None]:
    """Put the root logger back: a command configures it for its process, and here it shares that."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def services() -> FakeServices:
    """Services that do nothing."""
    return FakeServices()


Invoke = Callable[..., Result]


@pytest.fixture
def invoke(services: FakeServices) -> Invoke:
    """Run a command line, with a terminal wide enough that nothing wraps."""

    def invoke(
        *arguments: str,
        environment: dict[str, str] | None = None,
        stdin: bytes | None = None,
        columns: int = 400,
    ) -> Result:
        session = Session(environment or {}, services.build)
        runner = CliRunner(env={"COLUMNS": str(columns), "NO_COLOR": "1"})
        return runner.invoke(app, list(arguments), obj=session, input=stdin)

    return invoke
