"""What every command has at hand: the environment, and the one way to build the service."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import typer

from service.settings import SettingError, Settings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Session:
    """The world outside of a command.

    `environment` holds the environment variables. `build` makes the container of the service, which only
    `service.__main__` may import.
    """

    environment: Mapping[str, str]
    build: Callable[[Settings], Any]

    def settings(self, overrides: Mapping[str, str] | None = None) -> Settings:
        """Read the settings, of which those given on the command line win (by name of the variable).

        Exits with 2, as for any wrong usage, and a sentence for each that is wrong.
        """
        overrides = overrides or {}
        beaten = {variable for name in overrides for variable in (name, f"{name}_FILE")}
        rest = {name: text for name, text in self.environment.items() if name not in beaten}
        try:
            return Settings.from_env({**rest, **overrides})
        except SettingError as error:
            fail(*error.problems, status=2)


def fail(*problems: str, status: int = 1) -> NoReturn:
    """End the command with a sentence for each problem."""
    for problem in problems:
        typer.echo(f"aerolite: {problem}", err=True)
    raise typer.Exit(status)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on an event loop of its own, the fastest there is."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":  # pragma: no cover - uvloop is not made for Windows
        return None
    import uvloop  # noqa: PLC0415 - commands without a loop need not wait for it

    return uvloop.new_event_loop
