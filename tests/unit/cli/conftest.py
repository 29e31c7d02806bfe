"""What tests of the command line share."""

from __future__ import annotations

from collections.abc import Callable
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

    async def run(self) -> None:
        """Return at once."""
        self.runs += 1


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
